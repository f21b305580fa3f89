"""A Flask service with an incident: python examples/flask_app/main.py"""

import logging
import sys
from pathlib import Path

from flask import Flask, abort, request

from tenant_sentinel import Sentinel
from tenant_sentinel.flask import admin, init_app

sys.path.insert(0, str(Path(__file__).parents[1]))
import traffic

sentinel = Sentinel(admin_token=traffic.TOKEN)
app = Flask(__name__)
init_app(app, sentinel, tenant="x-tenant-id")
app.register_blueprint(admin(sentinel), url_prefix="/sentinel")


@app.get("/orders/<int:order>")
def order(order):
    """An order, unless it fails."""
    if request.args["fail"] == "1":
        abort(503)
    return str(order)


if __name__ == "__main__":
    asked = traffic.options()
    traffic.begin(sentinel, asked)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app.run(port=asked.port, threaded=True)
