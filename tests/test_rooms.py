"""Who may import whom: a teacher or a student trains on a machine without Ray, MLflow and Optuna."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

IMPORT_ALL = """
import importlib, sys
from pathlib import Path

blocked = ("ray", "mlflow", "optuna")
sys.modules.update(dict.fromkeys(blocked))  # None there makes an import fail
modules = sorted(f"{path.parent.name}.{path.stem}" for room in ("data", "model") for path in Path(room).glob("*.py"))
for name in modules:
    importlib.import_module(name.removesuffix(".__init__"))
assert not [name for name in sys.modules if name.split(".")[0] in (*blocked, "search") and sys.modules[name]]
print(len(modules))
"""


def test_data_and_model_are_imported_without_ray_mlflow_and_optuna() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 40, "all of them"
