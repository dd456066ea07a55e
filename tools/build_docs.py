"""Build the docs site from the notebooks with pip packages only, and check it: `python tools/build_docs.py`

nbdev makes the pages' signatures and links (`proc_nbs`), smalldocs lays them out by `nbs/_quarto.yml`, and this file does
what lies between: page names, numbered figures and equations, formulas as MathML, links that work from any folder, pictures
as files with words for those who cannot see them, and `llms.txt`, the way in for machines that read.
Where Quarto is installed, `nbdev_docs` builds the same notebooks, unchanged, into the same folder.
"""
import base64, html, json, os, re, shutil, struct, subprocess, sys
from importlib.metadata import entry_points
from pathlib import Path, PurePosixPath

import smalldocs, yaml
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
IMAGE = re.compile(r'<img\b[^>]*>')
DATA = re.compile(r'data:image/(png|jpeg|gif);base64,(.*)', re.S)
HEADING = re.compile(r'<h[1-6]\b[^>]*>(.*?)</h[1-6]>', re.S)
PARAGRAPH = re.compile(r'<p>(.*?)</p>', re.S)
FIGURE = re.compile(r'</p>\s*<figcaption>(.*?)</figcaption>', re.S)
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


def dark_theme(name):
    "The theme `name` in its own dark colours. smalldocs, as Quarto, wants a style sheet for each mode, and the dark one of another theme has another face"
    css = Path(smalldocs.__file__).parent/'assets'/'vendor'/'bootswatch'/f'{name}.min.css'
    return css.read_text(encoding='utf-8').replace('[data-bs-theme=dark]', ':is(:root,[data-bs-theme=dark])')


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
    edit(folder/'_quarto.yml', lambda s: s.replace('dark: darkly', 'dark: dark.css'))
    (folder/'dark.css').write_text(dark_theme('cosmo'), encoding='utf-8')
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
    "Formulas become MathML, links to our own site relative, pictures files, and what can be pressed a button"
    page = path.relative_to(site)
    up = '../'*len(page.parent.parts) or './'
    def formula(m): return f"{m[1]}{mathml(html.unescape(m[3]), m[2]=='display', page)}</span>"
    edit(path, lambda s: press(take_out_pictures(s, path)))
    edit(path, lambda s: KATEX.sub('', MATH.sub(formula, s)).replace(f'href="{url}/', f'href="{up}'))


def finish(site, url):
    "Make every page and style sheet of `site` independent of the network"
    for page in site.rglob('*.html'): finish_page(page, site, url)
    for css in site.rglob('*.css'): edit(css, lambda s: WEB_IMPORT.sub('', s))


# ---- what a page must be to be light, and for everyone -------------------------------------------------------------

def words(markup):
    "What a piece of a page says, with formulas as TeX"
    return ' '.join(html.unescape(re.sub('<[^>]+>', '', MATH.sub(r'\3', markup))).split())


def alternative(before, after):
    "Words for a picture that has none: its caption, or else the heading and the paragraph that it stands under"
    caption = FIGURE.match(after)
    if caption: return words(caption[1])
    headings = list(HEADING.finditer(before))
    said = PARAGRAPH.findall(before[headings[-1].end():]) if headings else []
    text = ': '.join(filter(None, [words(headings[-1][1]) if headings else '', words(said[-1]) if said else ''])) or 'Picture'
    return text if len(text)<=200 else text[:200].rsplit(' ', 1)[0] + ' …'


def size_of(data):
    "Width and height of a PNG, as attributes that keep its place on the page; nothing for other pictures"
    return ' width="{}" height="{}"'.format(*struct.unpack('>II', data[16:24])) if data.startswith(b'\x89PNG') else ''


def picture_file(path, kind, data, n):
    "The file beside the page at `path` that holds a picture: the one that its Markdown copy has, or a new one"
    folder = path.parent/f'{path.stem}_files'
    known = [f for f in sorted(folder.glob(f'*.{kind}')) if f.stat().st_size==len(data) and f.read_bytes()==data]
    if known: return known[0]
    folder.mkdir(exist_ok=True)
    file = folder/f'{path.stem}_{n}.{kind}'
    file.write_bytes(data)
    return file


def take_out_pictures(text, path):
    "Pictures inside a page become files beside it, which a browser fetches when they come into sight; each gets its size, and words"
    names, n, main = {}, 0, text.find('<main')
    def picture(m):
        nonlocal n
        tag, n = m[0], n+1
        src = re.search(r'src="([^"]*)"', tag)[1]
        inside = DATA.match(src)
        if inside:
            data = base64.b64decode(inside[2])
            file = picture_file(path, inside[1].replace('jpeg', 'jpg'), data, n)
            tag = tag.replace(src, file.relative_to(path.parent).as_posix())
        else: data = (path.parent/src).read_bytes() if (path.parent/src).is_file() else b''
        alt = re.search(r'\balt="([^"]*)"', tag)
        if not alt: tag = tag.replace('<img', f'<img alt="{html.escape(alternative(text[main:m.start()], text[m.end():]))}"', 1)
        if inside: names[file.relative_to(path.parent).as_posix()] = html.unescape(re.search(r'\balt="([^"]*)"', tag)[1])
        lazy = ' loading="lazy"' if n>1 else ''
        return tag.replace('<img', f'<img{"" if " width=" in tag else size_of(data)}{lazy} decoding="async"', 1)
    res = IMAGE.sub(picture, text)
    if path.with_suffix('.llms.md').is_file(): edit(path.with_suffix('.llms.md'), lambda s: finish_copy(s, names))
    return res


def finish_copy(text, names):
    "The Markdown copy of a page: its pictures have the same words, and what only nbdev and Quarto understand is gone"
    def picture(m): return f'![{re.sub(r"[][]", "", names.get(m[1], "picture"))}]({m[1]})'
    text = re.sub(r'!\[(?:png|jpeg|gif)\]\(([^)]*)\)', picture, text)
    return re.sub(r'(?<=\))\{target=[^}]*\}|<!-- WARNING: THIS FILE WAS AUTOGENERATED.*?-->\n*', '', text)


SECTION = re.compile(r'<a (class="sidebar-item-text sidebar-link text-start" [^>]*?) role="navigation"([^>]*)>(.*?)</a>')
ARROW = re.compile(r'<a (class="sidebar-item-toggle [^>]*?) role="navigation"([^>]*?) aria-label="Toggle section"([^>]*)>(.*?)</a>')
SCHEME = re.compile(r'<a (class="quarto-color-scheme-toggle[^"]*") href=""([^>]*)>(.*?)</a>')


def press(text):
    "Buttons that are marked up as links without an address become buttons, for the keyboard and for screen readers"
    text = SECTION.sub(r'<button type="button" \1\2>\3</button>', text)
    text = ARROW.sub(r'<a \1\2\3 aria-hidden="true">\4</a>', text)
    text = SCHEME.sub(r'<button type="button" \1\2>\3</button>', text)
    return re.sub(r'(<i class="bi [^"]*") role="img"', r'\1 aria-hidden="true"', text)      # the link around it has a name


# ---- the way in for machines that read -----------------------------------------------------------------------------

def front_matter(notebook):
    "Title and description of a page"
    text = source(json.loads(notebook.read_text(encoding='utf-8'))['cells'][0])
    return next(yaml.safe_load_all(text))


def llms_index(folder, url):
    "`llms.txt` (llmstxt.org): what this is, and each page's Markdown copy with a line of what is in it, by the sections of the sidebar"
    about = yaml.safe_load((folder/'nbdev.yml').read_text(encoding='utf-8'))['website']
    contents = yaml.safe_load((folder/'sidebar.yml').read_text(encoding='utf-8'))['website']['sidebar']['contents']
    def line(name):
        front = front_matter(folder/name)
        return f'- [{front["title"]}]({url}/{PurePosixPath(name).with_suffix(".llms.md")}): {front["description"]}'
    first = ['## Start here', '', *[line(o) for o in contents if isinstance(o, str)]]
    sections = [[f'## {o["section"]}', '', *map(line, o['contents'])] for o in contents if not isinstance(o, str)]
    return '\n\n'.join([f'# {about["title"]}', f'> {about["description"]}', *('\n'.join(o) for o in (first, *sections))]) + '\n'


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
    (site/'llms.txt').write_text(llms_index(folder, url), encoding='utf-8')
    shutil.rmtree(cfg.doc_path, ignore_errors=True)
    shutil.move(site, cfg.doc_path)
    shutil.rmtree(folder)
    check_site(cfg.doc_path, url)


if __name__=='__main__': main()
