"""What Chalice loads: the app, its routes and its event functions. No logic."""

from chalice.app import Chalice

from chalicelib.entrypoints import (
    alb_logs,
    discover,
    ec2_calls,
    ec2_state,
    flow_logs,
    logging_setup,
    provision,
    proxy_logs,
    rds_state,
    reconcile,
    savings_rollup,
    tag_change,
    tick,
    tracing,
    warm_up,
)
from chalicelib.entrypoints.api import account, account_settings, balancers, install, rules, savings, schedules
from chalicelib.entrypoints.api.routing import as_problem

logging_setup.set_up()

app = Chalice(app_name="autostop")
app.register_middleware(as_problem, "http")
app.register_middleware(tracing.middleware, "http")
for part in (account, account_settings, rules, schedules, balancers, install, savings):
    app.register_blueprint(part.routes.blueprint)
for module in (
    tick,
    reconcile,
    discover,
    ec2_state,
    rds_state,
    tag_change,
    ec2_calls,
    alb_logs,
    flow_logs,
    proxy_logs,
    provision,
    savings_rollup,
    warm_up,
):
    app.register_blueprint(module.bp)
