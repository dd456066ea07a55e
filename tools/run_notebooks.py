"""Run the tutorials and explanations as a reader would: `python tools/run_notebooks.py [NAME ...] [--venv FOLDER] [--python PYTHON]`

Builds the wheel from what git carries and untracked files, installs it with the extras `notebook`, `eval` and `diffusers` into a clean environment, and runs
each notebook there, one after the other, in a clean kernel and a folder of its own, empty but for the pictures that it refers to. All cells run, slow ones
as well, but those marked `#| cuda`. NAME restricts it (`quick_start`); without any, all run. `--venv` makes the environment in FOLDER and leaves it there, or
takes the one that is there and brings the wheel up to date. Writes nbs/images/notebook_runs.json; of a restricted run, into the rows that are there, as far
as they belong to notebooks whose code is still the same. The exit code is 1 if a notebook fails.
"""
import argparse, hashlib, json, os, re, shutil, subprocess, sys, tempfile, time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NBS, RECORD = ROOT/'nbs', ROOT/'nbs'/'images'/'notebook_runs.json'
EXTRAS = 'notebook,eval,diffusers'
DAY = '%Y-%m-%d'

# What the python of the clean environment does with one notebook: runs it, and checks with a last cell of its own where the package came from.
INSIDE = '''
import re, sys, nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
notebook = nbformat.read(sys.argv[1], 4)
def wanted(cell): return not re.search(r'^#\\s*\\|\\s*cuda\\b', cell.source, re.M)
notebook.cells = [c for c in notebook.cells if c.cell_type=='code' and wanted(c)]
notebook.cells.append(nbformat.v4.new_code_cell('import meme_nb, sys; print(sys.prefix, meme_nb.__file__, sep="\\\\n")'))
try: NotebookClient(notebook, timeout=1800, kernel_name='python3').execute()
except CellExecutionError as e: raise SystemExit(re.sub(r'\\x1b\\[[0-9;]*m', '', str(e)))
prefix, package = notebook.cells[-1].outputs[0].text.split('\\n')[:2]
if prefix!=sys.prefix or not package.startswith(sys.prefix): raise SystemExit(f'The kernel ran in {prefix} with the package {package}, and not in {sys.prefix}.')
'''


def notebooks(names):
    "The notebooks called so, or all of them"
    found = {p.stem: p for folder in ('tutorials', 'explanations') for p in sorted((NBS/folder).glob('[!_.]*.ipynb'))}
    asked = [Path(n).stem for n in names]
    unknown = [n for n in asked if n not in found]
    if unknown: raise SystemExit(f'There is no {", ".join(unknown)}; there are {", ".join(found)}.')
    return [p for stem, p in found.items() if not asked or stem in asked]


def cells(path, kind=('code', 'markdown')):
    "The sources of a notebook's cells"
    return [''.join(c['source']) for c in json.loads(path.read_text(encoding='utf-8'))['cells'] if c['cell_type'] in kind]


def code(path):
    "A digest of the code, by which a record knows whether it speaks of the notebook as it is"
    return hashlib.sha256('\0'.join(cells(path, ('code',))).encode()).hexdigest()[:12]


# ---- a clean environment -------------------------------------------------------------------------------------------

def clean():
    "The environment of a process that knows nothing of this checkout"
    gone = ('PYTHONPATH', 'PYTHONHOME', 'VIRTUAL_ENV', 'JUPYTER_PATH', 'JUPYTER_CONFIG_DIR')
    kept = {k: v for k, v in os.environ.items() if k not in gone and not k.startswith(('IPY', 'NBDEV'))}
    return {**kept, 'JUPYTER_PREFER_ENV_PATH': '1', 'MPLBACKEND': 'module://matplotlib_inline.backend_inline', 'PIP_DISABLE_PIP_VERSION_CHECK': '1'}


def call(*args, **kw):
    "Run a command; if it fails, show what it said"
    run = subprocess.run([str(a) for a in args], capture_output=True, text=True, **kw)
    if run.returncode: raise SystemExit(f'{" ".join(map(str, args))} failed:\n{run.stdout[-2000:]}{run.stderr[-2000:]}')
    return run.stdout


def build(tmp):
    "The wheel of what git carries and of untracked files"
    files = call('git', 'ls-files', '--cached', '--others', '--exclude-standard', '-z', cwd=ROOT).split('\0')
    for name in filter(None, files):
        source, target = ROOT/name, tmp/'source'/name
        if not source.is_file(): continue                  # removed here, and not yet committed
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
    call(sys.executable, '-m', 'build', '--wheel', '--outdir', tmp/'dist', tmp/'source')
    return next((tmp/'dist').glob('*.whl'))


def install(wheel, folder, python):
    "The python of an environment that has the wheel and what it asks for, and nothing else"
    inside, new = folder/'bin'/'python', not folder.exists()
    if os.name=='nt': inside = folder/'Scripts'/'python.exe'
    if new: call(python, '-m', 'venv', folder)
    elif not inside.is_file(): raise SystemExit(f'{folder} is there, and no virtual environment.')
    if not new: call(inside, '-m', 'pip', 'uninstall', '--yes', 'meme_nb', env=clean())
    call(inside, '-m', 'pip', 'install', f'{wheel}[{EXTRAS}]', 'nbclient', 'ipykernel', env=clean(), cwd=folder)
    return inside


# ---- one notebook --------------------------------------------------------------------------------------------------

def pictures(path):
    "Files and folders beside the notebooks that one refers to, such as ../images/x.png"
    names = {m[0].rstrip('.') for m in re.finditer(r'(?:\.\./)+images(?:/[\w.-]+)*', '\n'.join(cells(path)))}
    found = {(path.parent/n).resolve() for n in names}
    return [p for p in found if p.exists() and NBS in p.parents]


def lay(path, home):
    "A copy of the notebook, and of the pictures that it refers to, where they are to each other as here"
    copy = home/path.relative_to(NBS)
    copy.parent.mkdir(parents=True)
    shutil.copy2(path, copy)
    for p in pictures(path):
        target = home/p.relative_to(NBS)
        target.parent.mkdir(parents=True, exist_ok=True)
        if p.is_dir(): shutil.copytree(p, target, dirs_exist_ok=True)
        else: shutil.copy2(p, target)
    return copy


def run(path, python):
    "Run a notebook; its row in the record, and what it said when it failed"
    with tempfile.TemporaryDirectory(prefix='notebook_') as d:
        copy, load, start = lay(path, Path(d)), os.getloadavg()[0] if hasattr(os, 'getloadavg') else None, time.perf_counter()
        ran = subprocess.run([str(python), '-c', INSIDE, str(copy)], cwd=copy.parent, env=clean(), capture_output=True, text=True, stdin=subprocess.DEVNULL)
        seconds = time.perf_counter()-start
        row = dict(seconds=round(seconds, 1), ok=ran.returncode==0, load_before=load and round(load, 1), date=time.strftime(DAY), code=code(copy))
    return row, ran.stdout+ran.stderr


def write(rows, python, names):
    "Bring the record up to date"
    old = json.loads(RECORD.read_text(encoding='utf-8'))['notebooks'] if names and RECORD.is_file() else {}
    here = {p.relative_to(NBS).as_posix(): code(p) for p in notebooks([])}
    kept = {name: {**old, **rows}[name] for name in here if name in rows or old.get(name, {}).get('code')==here[name]}
    torch = call(python, '-c', 'import torch; print(torch.__version__)', env=clean()).strip()
    missing = [n for n in here if n not in kept]
    facts = dict(notebooks=kept, ok=not missing and all(r['ok'] for r in kept.values()), not_run=missing,
                 total_seconds=round(sum(r['seconds'] for r in kept.values()), 1), extras=EXTRAS, torch=torch, cores=os.cpu_count(),
                 date=time.strftime(DAY), command=' '.join(['python tools/run_notebooks.py', *names]))
    RECORD.write_text(json.dumps(facts, indent=1)+'\n', encoding='utf-8')


def main():
    parser = argparse.ArgumentParser(description='Run the tutorials and explanations with the wheel installed, in a clean environment.')
    parser.add_argument('names', nargs='*', metavar='NAME', help='only these, such as quick_start')
    parser.add_argument('--venv', type=Path, help='the environment: made there if it is not, and left there')
    parser.add_argument('--python', default=sys.executable, help='makes the environment; this one, if left away')
    args = parser.parse_args()
    chosen, rows, failed = notebooks(args.names), {}, []
    with tempfile.TemporaryDirectory(prefix='wheel_') as d:
        start, tmp = time.perf_counter(), Path(d)
        python = install(build(tmp), (args.venv or tmp/'venv').absolute(), args.python)
        print(f'wheel built and installed with [{EXTRAS}]: {time.perf_counter()-start:.0f} s', flush=True)
        for path in chosen:
            name = path.relative_to(NBS).as_posix()
            rows[name], said = run(path, python)
            print(f'{rows[name]["seconds"]:6.1f} s  {"ok" if rows[name]["ok"] else "FAILED"}  {name}', flush=True)
            if not rows[name]['ok']:
                failed.append(name)
                print('\n'.join(said.strip().splitlines()[-40:]), flush=True)
        write(rows, python, [Path(n).stem for n in args.names])
    print(f'{sum(r["seconds"] for r in rows.values()):6.1f} s  for {len(rows)} notebooks, {len(failed)} failed')
    sys.exit(bool(failed))


if __name__=='__main__': main()
