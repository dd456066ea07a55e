"Each notebook is one test, run the way `nbdev_test` runs it: same flags, same cells left out"
import os, subprocess, sys
import pytest
from project import NOTEBOOKS, ROOT

RUN = 'import sys; from nbdev.test import nbdev_test; nbdev_test.__wrapped__(path=sys.argv[1], flags=sys.argv[2], n_workers=0)'


@pytest.mark.parametrize('notebook', NOTEBOOKS, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_notebook(notebook, request):
    flags = request.config.getoption('--nb-flags')
    env = {**os.environ, 'MPLBACKEND': 'agg', 'PYTHONWARNINGS': 'ignore'}
    # a fresh process for each: no state leaks, and a crash fails one test only
    run = subprocess.run([sys.executable, '-c', RUN, notebook, flags], cwd=ROOT, env=env, capture_output=True, text=True, timeout=1800)
    assert run.returncode==0, run.stdout + run.stderr
    assert 'Success.' in run.stdout, f'nbdev_test ran nothing of {notebook.name}: {run.stdout}{run.stderr}'
