"""MiniStack with all that the documentation needs of it: ALBs, and the routes of `chalice deploy`."""

from __future__ import annotations

import alb_cloud
import api_cloud
from ministack.app import main

if __name__ == "__main__":
    alb_cloud.fill()
    api_cloud.fill()
    main()
