"""`warm_up`: what an ALB forwards requests to while a rule is not up.

What answers is in `warm_up_answers`: whoever loads this module only to register the function does without it.
"""

from __future__ import annotations

import os
from typing import Any

from chalice.app import Blueprint

from chalicelib.entrypoints import cold_start, logging_setup

bp = Blueprint(__name__)

if os.environ.get("_HANDLER") == f"{__name__}.warm_up":
    # Lambda gives a process that starts a whole CPU, whatever its memory: a browser waits, so it is loaded then.
    # https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
    from chalicelib.entrypoints import warm_up_answers  # noqa: F401


@bp.lambda_function(name="warm_up")
def warm_up(event: dict[str, Any], context: object) -> dict[str, Any]:
    """An ALB calls this; the answer is in the form that it wants."""
    logging_setup.set_up()
    with cold_start.hurried():
        from chalicelib.entrypoints import warm_up_answers

        return warm_up_answers.handle(event, context)
