"""README.md from nbs/index.ipynb, without Quarto: `python tools/readme.py`, or with --check only compare

Links and pictures that are relative to nbs/ are made relative to the root of the repo; code stays as it is.
"""
import difflib, os, posixpath, re, sys
from importlib.metadata import entry_points
from pathlib import Path

from execnb.nbio import read_nb
from nbdev.config import get_config
from nbdev.processors import FilterDefaults

ROOT = Path(__file__).resolve().parent.parent
CODE = re.compile(r'(^(?P<fence>```+|~~~+).*?^(?P=fence)\s*$|`[^`\n]+`)', re.M|re.S)
LINK = re.compile(r'(\]\(\s*<?)([^)\s>]+)')                     # [words](target) and ![words](target)
ATTR = re.compile(r'(<(?:img|a|source)\b[^>]*?\b(?:src|href)=")([^"]+)')


def from_root(target, folder):
    "A link `target` of a file in `folder`, as seen from the root of the repo"
    if re.match(r'[a-zA-Z][\w+.-]*:|//|#|/', target): return target
    path, sep, anchor = target.partition('#')
    return posixpath.normpath(posixpath.join(folder, path)) + sep + anchor


def outside_code(text, func):
    "Apply `func` to `text`, but not to the code in it"
    parts, at = [], 0
    for m in CODE.finditer(text):
        parts += [func(text[at:m.start()]), m[0]]
        at = m.end()
    return ''.join([*parts, func(text[at:])])


def move_links(text, folder):
    "Make the relative links and pictures of a Markdown text work from the root"
    def move(m): return m[1] + from_root(m[2], folder)
    return outside_code(text, lambda s: ATTR.sub(move, LINK.sub(move, s)))


def front_matter(text):
    "The title and the subtitle, from the notebook's first cell"
    text = re.sub(r'\n[ \t]+', ' ', text)                       # long values go on in indented lines
    values = dict(re.findall(r'^(title|description):\s*(.+)$', text, re.M))
    return [f"# {values['title'].strip()}", *([values['description'].strip()] if 'description' in values else [])]


def output_text(output):
    "A cell's output as Markdown"
    data = output.get('data', {})
    markdown, text = data.get('text/markdown'), output.get('text') or data.get('text/plain')
    if 'image/png' in data or not (markdown or text):
        raise SystemExit(f'README.md cannot hold the output {sorted(data)}: save the picture in nbs/images, and show it as ![...](images/...png).')
    if markdown: return ''.join(markdown).rstrip()
    return '\n'.join(f'    {line}' for line in ''.join(text).rstrip().splitlines())


def code_cell(cell):
    "A code cell as a fenced block, and its outputs"
    options = dict(re.findall(r'^#\|\s*(\S+?):?\s*(\S*)$', cell.source, re.M))
    code = re.sub(r'^#\|.*\n?', '', cell.source, flags=re.M).strip()
    if options.get('include')=='false': return []
    block = [f'```python\n{code}\n```'] if code and options.get('echo')!='false' else []
    return block + [output_text(o) for o in cell.get('outputs', []) if options.get('output')!='false']


def readme():
    "The text of README.md"
    cfg = get_config()
    if not list(entry_points(group='nbdev', name=cfg.lib_name)):
        raise SystemExit(f"{cfg.lib_name} is not installed here, so its names cannot be linked: run  pip install -e '.[dev]'  first.")
    nb = read_nb(cfg.nbs_path/cfg.readme_nb)
    FilterDefaults()(nb)
    folder, res = cfg.nbs_path.name, []
    for cell in nb.cells:
        text = (cell.get('source') or '').strip()
        if cell.cell_type=='raw': res += front_matter(text)
        elif cell.cell_type=='markdown': res.append(move_links(text, folder))
        elif text: res += code_cell(cell)
    return '\n\n'.join(o for o in res if o) + '\n'


def check(path, text):
    "Stop with the difference, if the file at `path` is not `text`"
    old = path.read_text(encoding='utf-8') if path.exists() else ''
    diff = ''.join(difflib.unified_diff(old.splitlines(True), text.splitlines(True), path.name, 'nbs/index.ipynb'))
    if diff: raise SystemExit(f'{path.name} is not what nbs/index.ipynb gives: run  python tools/readme.py\n{diff}')


def main(args):
    if args not in ([], ['--check']): raise SystemExit(f'readme.py takes --check or nothing, not {" ".join(args)}')
    os.chdir(ROOT)
    path, text = ROOT/'README.md', readme()
    if args: check(path, text)
    else: path.write_text(text, encoding='utf-8')


if __name__=='__main__': main(sys.argv[1:])
