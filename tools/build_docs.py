"""Build the docs site from the notebooks with pip packages only, and check it: `python tools/build_docs.py`

nbdev makes the pages' signatures and links (`proc_nbs`), smalldocs lays them out by `nbs/_quarto.yml`, and this file does
what lies between: page names, numbered figures and equations, formulas as MathML, and links that work from any folder.
Where Quarto is installed, `nbdev_docs` builds the same notebooks, unchanged, into the same folder.
"""
import html, json, os, re, shutil, subprocess, sys
from importlib.metadata import entry_points
from pathlib import Path, PurePosixPath

from latex2mathml.converter import convert
from nbdev.config import get_config
from nbdev.doclinks import _build_modidx
from nbdev.quarto import refresh_quarto_yml
from nbdev.serve import proc_nbs

from check_site import check_site

ROOT = Path(__file__).resolve().parent.parent
KINDS = {'fig': 'Figure', 'eq': 'Equation', 'tbl': 'Table'}
OUTPUT_FILE = re.compile(r'^output-file:\s*(\S+)\.html\s*\n', re.M)
NB_LINK = re.compile(r'(\]\()([^)\s#]+\.ipynb)(?=[)#])')
XREF = re.compile(r'(?<![\w/`])@((?:fig|eq|tbl)-[\w-]+)')
LABEL = re.compile(r'(?:^#\|\s*label:\s*|\{#)((?:fig|eq|tbl)-[\w-]+)', re.M)
EQUATION = re.compile(r'\$\$(.+?)\$\$\s*\{#(eq-[\w-]+)\}', re.S)
MATH = re.compile(r'(<span class="math (inline|display)">)\\[(\[](.*?)\\[)\]]</span>', re.S)
KATEX = re.compile(r'<(script|link)\b[^>]*cdn\.jsdelivr\.net/npm/katex[^>]*>(</script>)?')
# what latex2mathml shows wrongly, and how it does well
REWRITES = [(r'\{aligned\}', '{split}'), (r'\\operatorname\*', r'\\operatorname'),
            (r'\\(math(?:bb|bf|cal|rm)|boldsymbol)(?:\s+|(?=\d))(\w)', r'\\\1{\2}')]
NOT_READ = re.compile(r'\\[a-zA-Z]+|<mi>&</mi>')
WEB_IMPORT = re.compile(r"""@import\s*(?:url\()?\s*["']?https?://[^"')]+["']?\s*\)?[^;]*;""")


def source(cell):
    "The text of a notebook cell, which the file may keep as a list of lines"
    return ''.join(cell.get('source') or '')


def edit(path, func):
    "Replace the text of the file at `path` by what `func` makes of it"
    path.write_text(func(path.read_text(encoding='utf-8')), encoding='utf-8')


# ---- what Quarto does to a page, and smalldocs does not ------------------------------------------------------------

def number_labels(cells):
    "Numbers for the figures, tables and equations of a page, in order: {'fig-grid': 1, 'eq-q': 1, ...}"
    count, numbers = dict.fromkeys(KINDS, 0), {}
    for key in (k for c in cells for k in LABEL.findall(source(c))):
        kind = key.split('-')[0]
        count[kind] += 1
        numbers[key] = count[kind]
    return numbers


def link_references(text, numbers, page):
    "`@fig-grid` becomes a link that says `Figure 1`"
    def link(m):
        if m[1] not in numbers: raise SystemExit(f'{page}: @{m[1]} is used but nothing on the page is labelled {m[1]}.')
        return f'[{KINDS[m[1].split("-")[0]]} {numbers[m[1]]}](#{m[1]})'
    return XREF.sub(link, text)


def number_equations(text, numbers):
    "`$$ ... $$ {#eq-q}` gets its number, and an anchor"
    return EQUATION.sub(lambda m: f'<span id="{m[2]}"></span>\n\n$$ {m[1].strip()} \\qquad ({numbers[m[2]]}) $$', text)


def number_caption(code, numbers):
    "The `fig-cap` of a labelled figure starts with its number"
    label = LABEL.search(code)
    return re.sub(r"""^(#\|\s*fig-cap:\s*["']?)""", rf'\g<1>Figure {numbers[label[1]]}. ', code, flags=re.M) if label else code


def rename_links(text, page, names):
    "Links to notebooks follow them to their page names"
    def link(m):
        target = PurePosixPath(os.path.normpath(page.parent/m[2]))
        return m[1] + (str(PurePosixPath(m[2]).with_name(names[target].name)) if target in names else m[2])
    return NB_LINK.sub(link, text)


def convert_notebook(nb, page, names):
    "Write Quarto's own syntax in `nb` as plain Markdown"
    numbers = number_labels(nb['cells'])
    def markdown(text): return rename_links(number_equations(link_references(text, numbers, page), numbers), page, names)
    convert_cell = {'raw': lambda s: OUTPUT_FILE.sub('', s), 'code': lambda s: number_caption(s, numbers), 'markdown': markdown}
    for cell in nb['cells']:
        cell['source'] = convert_cell[cell['cell_type']](source(cell))
        for data in (o.get('data', {}) for o in cell.get('outputs', [])):      # a docstring may refer to an equation
            if 'text/markdown' in data: data['text/markdown'] = markdown(''.join(data['text/markdown']))
    return nb


def page_names(folder):
    "Each notebook's path and the path of its page's source: 01_schedulers.ipynb -> schedulers.ipynb"
    names = {}
    for f in folder.rglob('*.ipynb'):
        path = PurePosixPath(f.relative_to(folder).as_posix())
        name = OUTPUT_FILE.search(source(json.loads(f.read_text(encoding='utf-8'))['cells'][0]))
        names[path] = path.with_name(f'{name[1]}.ipynb') if name else path
    return names


def stage(processed, folder):
    "Copy nbdev's pages to `folder` as smalldocs reads them"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(processed, folder, ignore=shutil.ignore_patterns('_docs'))
    names = page_names(folder)
    for old, new in names.items():
        nb = convert_notebook(json.loads((folder/old).read_text(encoding='utf-8')), old, names)
        (folder/old).unlink()
        (folder/new).write_text(json.dumps(nb), encoding='utf-8')
    edit(folder/'_quarto.yml', lambda s: re.sub(r'^ *html-math-method:.*\n', '', s, flags=re.M))      # ours to do: see `mathml`
    edit(folder/'sidebar.yml', lambda s: re.sub(r'\S+\.ipynb$', lambda m: str(names.get(PurePosixPath(m[0]), m[0])), s, flags=re.M))


# ---- what a page must be to work without a network -----------------------------------------------------------------

def mathml(tex, display, page):
    "One formula as MathML"
    plain = tex
    for old, new in REWRITES: plain = re.sub(old, new, plain)
    try: res = convert(plain, display='block' if display else 'inline')
    except Exception as e: raise SystemExit(f'{page}: cannot read the formula {tex!r} ({type(e).__name__}: {e}).') from e
    unknown = NOT_READ.search(res)      # what it does not know comes back as text
    if unknown: raise SystemExit(f'{page}: latex2mathml does not know {unknown[0]} in the formula {tex!r}: write it in another way.')
    return res


def finish_page(path, site, url):
    "Formulas become MathML, and links to our own site relative"
    page = path.relative_to(site)
    up = '../'*len(page.parent.parts) or './'
    def formula(m): return f"{m[1]}{mathml(html.unescape(m[3]), m[2]=='display', page)}</span>"
    edit(path, lambda s: KATEX.sub('', MATH.sub(formula, s)).replace(f'href="{url}/', f'href="{up}'))


def finish(site, url):
    "Make every page and style sheet of `site` independent of the network"
    for page in site.rglob('*.html'): finish_page(page, site, url)
    for css in site.rglob('*.css'): edit(css, lambda s: WEB_IMPORT.sub('', s))


# ---- the way from the notebooks to the site ------------------------------------------------------------------------

def process():
    "nbdev's part: the folder with every notebook's signatures made, links set and hidden cells gone"
    lib = get_config().lib_name
    if not list(entry_points(group='nbdev', name=lib)):
        raise SystemExit(f"{lib} is not installed here, so its names cannot be linked: run  pip install -e '.[dev]'  first.")
    refresh_quarto_yml()
    _build_modidx()
    return proc_nbs(n_workers=2, force=True)


def render(folder):
    "smalldocs' part: the site in `folder`/_docs; any warning of its is an error"
    smalldocs = Path(sys.executable).with_name('smalldocs')
    if subprocess.run([smalldocs, 'render', '--strict', folder]).returncode:
        raise SystemExit('The docs were not built: see what smalldocs says above.')
    return folder/get_config().doc_path.name


def main():
    os.chdir(ROOT)
    cfg = get_config()
    url, folder = f'{cfg.doc_host}{cfg.doc_baseurl}', ROOT/'_proc_site'
    stage(process(), folder)
    site = render(folder)
    finish(site, url)
    shutil.rmtree(cfg.doc_path, ignore_errors=True)
    shutil.move(site, cfg.doc_path)
    shutil.rmtree(folder)
    check_site(cfg.doc_path, url)


if __name__=='__main__': main()
