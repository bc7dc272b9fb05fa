"""Draws demo.svg from demo.json: ``python docs/pictures/draw.py``.

For new figures, first run ``managed-credentials demo --json > docs/pictures/demo.json``.
"""

import json
import pathlib

from aliyun_sdk_secretsmanager_testing.demo.picture import draw

HERE = pathlib.Path(__file__).resolve().parent

if __name__ == "__main__":
    document = json.loads((HERE / "demo.json").read_text(encoding="utf-8"))
    (HERE / "demo.svg").write_text(draw(document), encoding="utf-8")
