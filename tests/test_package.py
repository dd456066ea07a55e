"The package as a whole: its metadata, what its modules bring along, and the rules of the house that a machine can check"
import ast, builtins, importlib.metadata as metadata, json, re, shlex, statistics, subprocess, sys
import measure_style, pytest
from project import LIB, LIGHT, MODULES, NBS, NOTEBOOKS, ROOT, SETTINGS

COMMANDS = ['pip install . && meme_demo', "pip install -e '.[dev]' && pytest"]
by_name = pytest.mark.parametrize('notebook', NOTEBOOKS, ids=lambda p: p.relative_to(NBS).as_posix())


# ---- modules, each in a clean process ------------------------------------------------------------------------------

def probe(module, folder):
    "What importing `module` does, in a process that never saw a notebook, from an empty folder"
    run = subprocess.run([sys.executable, '-P', ROOT/'tests'/'probe.py', module], cwd=folder, capture_output=True, text=True)
    assert run.returncode==0, f'{module} cannot be imported on its own:\n{run.stderr}'
    return json.loads(run.stdout.splitlines()[-1])


@pytest.mark.parametrize('module', MODULES)
def test_module_stands_alone(module, tmp_path):
    res = probe(module, tmp_path)
    assert not res['lost'], f'__all__ of {module} names what it does not have: {res["lost"]}'
    assert not res['undefined'], f'{module} uses names that it neither defines nor imports: {res["undefined"]}'
    if module in LIGHT: assert not res['heavy'], f'{module} must load without {res["heavy"]}: import it inside the function that needs it'


@pytest.mark.parametrize('module', LIGHT)
def test_light_module_exists(module): assert module in MODULES


def test_light_modules_load_in_the_time_of_torch(tmp_path):
    "`model` imports all other light modules. CPU time, so that other programs on the machine do not count"
    last = LIGHT[-1]
    pairs = [(probe('torch', tmp_path)['cpu'], probe(last, tmp_path)['cpu']) for _ in range(3)]
    torch, ours = (statistics.median(times) for times in zip(*pairs))
    assert ours <= 1.15*torch, f'{last} takes {ours:.2f} s to import, and torch {torch:.2f} s: at most 1.15 times as much is allowed'


def imported(source):
    "The packages that a module imports, at its top or inside functions"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import): yield from (a.name.split('.')[0] for a in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level: yield node.module.split('.')[0]


def requirement_names(key): return {normal(re.match(r'[\w.-]+', r)[0]) for r in shlex.split(SETTINGS[key])}


def normal(name): return re.sub(r'[-_.]+', '-', name).lower()


def test_what_modules_import_is_required():
    "A package that merely came along with another one may be gone tomorrow"
    declared = set().union(*(requirement_names(k) for k in SETTINGS if k=='requirements' or k.startswith('extras_')))
    owners = metadata.packages_distributions()
    found = {name for p in LIB.rglob('*.py') for name in imported(p.read_text(encoding='utf-8'))} - set(sys.stdlib_module_names) - {LIB.name}
    missing = {n for n in found if not {normal(d) for d in owners.get(n, [n])} & declared}
    assert not missing, f'meme_nb imports {sorted(missing)}: add them to the requirements in settings.ini'


def test_modules_are_in_the_oldest_python_that_we_promise():
    version = tuple(map(int, SETTINGS['min_python'].split('.')))
    for p in LIB.rglob('*.py'): ast.parse(p.read_text(encoding='utf-8'), p.name, feature_version=version)


# ---- metadata ------------------------------------------------------------------------------------------------------

def test_installed_package_is_this_one():
    import meme_nb
    assert LIB.samefile(meme_nb.__path__[0]), f"the tests would test another meme_nb, in {meme_nb.__path__[0]}: run  pip install -e '.[dev]'  here"
    assert meme_nb.__version__==SETTINGS['version']
    installed = metadata.metadata(LIB.name)
    for key, setting in ('Version', 'version'), ('Summary', 'description'), ('Author', 'author'):
        assert installed[key]==SETTINGS[setting], f"{key} has changed in settings.ini: run  pip install -e '.[dev]'  again"


def test_commands_are_there():
    commands = metadata.entry_points(group='console_scripts')
    for line in shlex.split(SETTINGS['console_scripts']):
        name = line.split('=')[0]
        assert callable(commands[name].load()), f'the command {name} is not a function'


def test_run_time_requirements_are_loose():
    pinned = [r for r in shlex.split(SETTINGS['requirements']) if '==' in r or '~=' in r]
    assert not pinned, f'{pinned} would keep users from newer versions: pin in dev_requirements'


def test_changelog_has_this_version(): assert f"\n## {SETTINGS['version']}\n" in (ROOT/'CHANGELOG.md').read_text(encoding='utf-8')


def test_readme_has_two_commands():
    "`.ci/run` runs the second one, as it is written"
    blocks = re.findall(r'^```sh\n(.*?)^```', (ROOT/'README.md').read_text(encoding='utf-8'), re.M|re.S)
    assert [b.splitlines() for b in blocks]==[COMMANDS], f'README needs one sh block, with these two lines: {COMMANDS}'
    assert '## Quick start\n\n```sh\n' in (ROOT/'README.md').read_text(encoding='utf-8')


# ---- notebooks -----------------------------------------------------------------------------------------------------

def test_sidebar_lists_every_notebook_once():
    listed = re.findall(r'(\S+\.ipynb)\s*$', (NBS/'sidebar.yml').read_text(encoding='utf-8'), re.M)
    assert sorted(listed)==sorted(p.relative_to(NBS).as_posix() for p in NOTEBOOKS), 'edit nbs/sidebar.yml'


def code_cells(notebook):
    "The code cells, each with its lines of `code`, and whether it is `exported`"
    for cell in json.loads(notebook.read_text(encoding='utf-8'))['cells']:
        if cell['cell_type']!='code': continue
        lines = ''.join(cell['source']).splitlines()
        exported = any(re.match(r'#\s*\|\s*export[is]?\b', line) for line in lines)
        yield {**cell, 'exported': exported, 'code': [line for line in lines if not re.match(r'#\s*\||[%!]', line)]}


@by_name
def test_exported_cells_are_small(notebook):
    long = [f"{c['code'][0]} ... ({len(c['code'])} lines)" for c in code_cells(notebook) if c['exported'] and len(c['code'])>60]
    assert not long, f'at most 60 lines in an exported cell: {long}'


def test_style_of_the_house():
    "Of all notebooks together; `python tools/measure_style.py` shows each"
    total = measure_style.summary([measure_style.measure(p) for p in NOTEBOOKS])
    off = measure_style.beyond(total)
    assert not off, f'beyond the limits, see  python tools/measure_style.py: {off}'


@by_name
def test_a_word_or_a_test_after_each_export(notebook):
    "But for a class and its `@patch` methods"
    cells = [(c['cell_type'], ''.join(c['source'])) for c in json.loads(notebook.read_text(encoding='utf-8'))['cells']]
    export = [kind=='code' and re.match(r'#\s*\|\s*exports?\n(?!@patch)', s) for kind, s in cells]
    either = [kind=='code' and re.match(r'#\s*\|\s*exports?\n', s) for kind, s in cells]
    bare = [cells[i+1][1].splitlines()[1] for i in range(len(cells)-1) if either[i] and export[i+1]]
    assert not bare, f'say or show something before {bare}'


def nodes(tree, *kinds): return [n for n in ast.walk(tree) if isinstance(n, kinds)]


def foreign_names(tree):
    "Names that a cell uses, and neither makes nor imports itself"
    made = {(a.asname or a.name).split('.')[0] for n in nodes(tree, ast.Import, ast.ImportFrom) for a in n.names}
    if '*' in made: return set()      # any name may come from there
    made |= {n.id for n in nodes(tree, ast.Name) if not isinstance(n.ctx, ast.Load)} | {n.arg for n in nodes(tree, ast.arg)}
    made |= {n.name for n in nodes(tree, ast.FunctionDef, ast.ClassDef)}
    return {n.id for n in nodes(tree, ast.Name)} - made - set(dir(builtins))


@by_name
def test_imports_have_cells_of_their_own(notebook):
    "The docs build runs each cell that imports something, without the cells before it, and replaces its outputs"
    cells = [(c, ast.parse('\n'.join(c['code']))) for c in code_cells(notebook) if not c['exported']]
    mixed = [' / '.join(c['code'])[:80] for c, tree in cells if nodes(tree, ast.Import, ast.ImportFrom) and (c['outputs'] or foreign_names(tree))]
    assert not mixed, f'move the imports of these cells to a cell of their own: {mixed}'


@by_name
def test_notebook_is_light(notebook):
    size = notebook.stat().st_size
    most = 300 if notebook.parent==NBS else 1000           # tutorials and explanations are mostly pictures
    assert size<=most*1000, f'{notebook.name} has {size/1e3:.0f} kB, and {most} are allowed: smaller dpi, fewer pictures'


# ---- every file ----------------------------------------------------------------------------------------------------

MACHINE_PATH = re.compile(r'(?<![\w.~*/-])/(?:root|work|home|Users|mnt|opt|workspace)/[\w.-]+')
TEXT = {'.py', '.ipynb', '.md', '.ini', '.toml', '.yml', '.css', '.in', '.sh', ''}


def own_files():
    "The text files of the repo, and not what tools left behind"
    tops = [ROOT/d for d in ('nbs', LIB.name, 'tools', 'tests', '.ci', '.github', 'examples')]
    files = [p for top in tops if top.exists() for p in top.rglob('*')] + list(ROOT.iterdir())
    return [p for p in files if p.is_file() and p.suffix in TEXT and '__pycache__' not in p.parts and p.name!='.git']


def test_no_file_knows_our_machines():
    "A path that exists on one machine only"
    found = [f'{p.relative_to(ROOT)}: {m[0]}' for p in own_files() for m in MACHINE_PATH.finditer(p.read_text(encoding='utf-8'))]
    assert not found, f'paths of one machine: {found}'
