"""Check a built docs site without a browser or a network: `python tools/check_site.py _docs`

Every internal link and anchor leads somewhere, links to the source meet the line that they mean, no page loads anything from the
network, every picture is one and has words for those who cannot see it, no markup was left unread, and no page is heavier than a
megabyte, pictures included. `llms.txt` names a Markdown copy of every page. Prints each page's weight.
"""
import base64, re, sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# what a browser fetches by itself: tag -> attributes
LOADS = {'script': ['src'], 'img': ['src', 'srcset'], 'iframe': ['src'], 'source': ['src', 'srcset'], 'video': ['src', 'poster'],
         'audio': ['src'], 'embed': ['src'], 'object': ['data'], 'track': ['src'], 'input': ['src'], 'image': ['href'], 'use': ['href']}
LINK_LOADS = {'stylesheet', 'icon', 'preload', 'prefetch', 'modulepreload', 'preconnect', 'dns-prefetch', 'manifest'}
CSS_URL = re.compile(r"""url\(\s*["']?([^"')]+)|@import\s+["']([^"']+)""")
JS_FETCH = re.compile(r"""\b(?:import|from|fetch|importScripts)\b[\s(]*["'`]((?:https?:)?//[^"'`]+)""")
LEFTOVER = re.compile(r'.{0,20}(?::::|\$\$|\{=html\}|\{#(?:fig|eq|tbl)-|(?<![\w/])@(?:fig|eq|tbl)-|\\[(\[]).{0,20}')
VERBATIM = {'pre', 'code', 'script', 'style', 'math', 'title'}
SOURCE = re.compile(r'https://github\.com/[^/]+/[^/]+/blob/[^/]+/(.+\.py)#L(\d+)$')
MARKDOWN_LINK = re.compile(r'\]\(([^)\s]+)\)')
ROOT = Path(__file__).resolve().parent.parent
MOST = 1_000_000          # bytes of a page and the pictures on it
PICTURES = {b'\x89PNG': 'png', b'\xff\xd8\xff': 'jpg', b'GIF8': 'gif', b'<svg': 'svg', b'<?xml': 'svg', b'RIFF': 'webp'}


class Page(HTMLParser):
    "What one page links to, loads, offers as anchors, and says outside of code"
    def __init__(self, text):
        super().__init__()
        self.links, self.loads, self.images, self.ids, self.text, self.inside = [], [], [], {'', 'top'}, [], []
        self.silent = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        a = {k: v or '' for k, v in attrs}
        self.ids |= {a[k] for k in ('id', 'name') if k in a}
        if tag in ('a', 'area') and 'href' in a: self.links.append(a['href'])
        if tag=='link' and LINK_LOADS & set(a.get('rel', '').split()): self.loads.append(a.get('href', ''))
        for k in LOADS.get(tag, []):
            self.loads += [u.split()[0] for u in a[k].split(', ') if u.strip()] if k=='srcset' and k in a else [a[k]] if a.get(k) else []
        if tag=='img':
            self.images.append(a.get('src', ''))
            if not a.get('alt', '').strip(): self.silent.append(a.get('src', '')[:60])
        self.loads += css_urls(a.get('style', ''))
        if tag in VERBATIM: self.inside.append(tag)

    def handle_endtag(self, tag):
        if tag in self.inside: self.inside.remove(tag)

    def handle_data(self, data):
        if 'style' in self.inside: self.loads += css_urls(data)
        elif 'script' in self.inside: self.loads += JS_FETCH.findall(data)
        elif not self.inside: self.text.append(data)


def css_urls(css): return [a or b for a, b in CSS_URL.findall(css)]


def is_external(url): return bool(urlsplit(url).netloc) or urlsplit(url).scheme in ('http', 'https')


def resolve(site, page, url):
    "The file that `url` on the page at `page` means, and its anchor"
    parts = urlsplit(url)
    path = (page.parent/unquote(parts.path)).resolve() if parts.path else page
    return (path/'index.html' if path.is_dir() else path), unquote(parts.fragment)


def check_links(site, path, pages, url):
    "Links of a page that lead nowhere"
    for link in pages[path].links:
        # a link to our own site by its full address is internal too
        up = '../'*len(path.relative_to(site).parent.parts) or './'
        local = up + link[len(url)+1:] if url and f'{link}/'.startswith(f'{url}/') else link
        if is_external(local) or urlsplit(local).scheme: continue
        target, anchor = resolve(site, path, local)
        if not target.is_file() or site not in target.parents: yield f'links to {link}, and there is no such page'
        elif target in pages and anchor not in pages[target].ids: yield f'links to {link}, and that page has no such anchor'


def check_loads(site, path, urls):
    "Things that a page or style sheet loads from the network, or that are missing"
    for url in urls:
        if url.startswith(('data:', '#')): continue
        if is_external(url): yield f'loads {url} from the network'
        elif not resolve(site, path, url)[0].is_file(): yield f'loads {url}, and there is no such file'


def check_images(site, path, page):
    "Pictures of a page that no browser could show"
    for src in page.images:
        head = src[:60]
        if is_external(src): continue      # said already, by check_loads
        if src.startswith('data:'): data = base64.b64decode(src.partition(',')[2]) if ';base64,' in head else unquote(src.partition(',')[2]).encode()
        else:
            file = resolve(site, path, src)[0]
            data = file.read_bytes() if file.is_file() else b''
        if not data.lstrip().startswith(tuple(PICTURES)): yield f'shows {head!r}, which is not a picture'


def check_source_links(page):
    "Links to the source whose line does not define anything: in the package of this checkout"
    for link in page.links:
        m = SOURCE.match(link)
        if not m: continue
        lines = (ROOT/m[1]).read_text(encoding='utf-8').splitlines() if (ROOT/m[1]).is_file() else []
        if not 0<int(m[2])<=len(lines): yield f'links to {link}, and there is no such line'
        elif not re.match(r'\s*(?:@|def |class |async def )', lines[int(m[2])-1]): yield f'links to {link}, where nothing is defined'


def weight(site, path, page):
    "Bytes of a page and of the pictures on it"
    files = {resolve(site, path, o)[0] for o in page.images if not o.startswith('data:') and not is_external(o)}
    return path.stat().st_size + sum(f.stat().st_size for f in files if f.is_file())


def check_weight(site, path, page):
    "Too much for a phone"
    n = weight(site, path, page)
    if n>MOST: yield f'has {n/1e3:.0f} kB with its pictures, and {MOST/1e3:.0f} are allowed'


def check_llms(site, pages):
    "What is wrong with `llms.txt` and the Markdown copies"
    index = site/'llms.txt'
    if not index.is_file(): return (yield 'llms.txt is missing')
    copies = {p.relative_to(site).with_suffix('.llms.md').as_posix() for p in pages}
    links = MARKDOWN_LINK.findall(index.read_text(encoding='utf-8'))
    home = next((o.removesuffix('index.llms.md') for o in links if o.endswith('index.llms.md')), '')      # where the site is going to live
    listed = [o.removeprefix(home) for o in links]
    yield from (f'llms.txt names {o}, and there is no such file' for o in listed if not (site/o).is_file())
    yield from (f'llms.txt does not name {o}: nbs/sidebar.yml lacks the notebook' for o in sorted(copies-set(listed)))
    for copy in copies:
        for link in MARKDOWN_LINK.findall((site/copy).read_text(encoding='utf-8')) if (site/copy).is_file() else ():
            if re.match(r'\w+_files/|(?:\.\./)*images/', link) and not ((site/copy).parent/link).is_file(): yield f'{copy} shows {link}, and there is no such file'


def check_text(page):
    "Markup that was shown instead of read"
    for text in page.text:
        for m in LEFTOVER.finditer(text): yield f'shows unread markup: {m[0].strip()!r}'


def find_problems(site, url=None):
    "Everything wrong with the site in the folder `site`, which is going to live at `url`, as sentences"
    pages = {p: Page(p.read_text(encoding='utf-8')) for p in sorted(site.rglob('*.html'))}
    if not pages: yield f'{site} has no pages: build the docs first.'
    for path, page in pages.items():
        found = [*check_links(site, path, pages, url), *check_loads(site, path, page.loads), *check_images(site, path, page), *check_text(page),
                 *check_source_links(page), *check_weight(site, path, page), *(f'shows {o!r}, which has no words for those who cannot see it' for o in page.silent)]
        yield from (f'{path.relative_to(site)} {o}' for o in found)
    if pages: yield from check_llms(site, pages)
    for path in [*site.rglob('*.css'), *site.rglob('*.js')]:
        text = path.read_text(encoding='utf-8')
        urls = css_urls(text) if path.suffix=='.css' else JS_FETCH.findall(text)
        yield from (f'{path.relative_to(site)} {o}' for o in check_loads(site, path, urls))


def print_weights(site):
    "The size of each page, with its pictures, and of all files together"
    pages = sorted(site.rglob('*.html'))
    for p in pages:
        own = p.stat().st_size
        print(f'{weight(site, p, Page(p.read_text(encoding="utf-8")))/1e3:8.0f} kB  {p.relative_to(site)}  ({own/1e3:.0f} without its pictures)')
    total = sum(f.stat().st_size for f in site.rglob('*') if f.is_file())
    print(f'{total/1e3:8.0f} kB  the whole site, {len(pages)} pages')


def check_site(site, url=None):
    "Print the weights of the pages; stop with a list of what is wrong with them, if anything is"
    site = Path(site).resolve()
    print_weights(site)
    problems = list(dict.fromkeys(find_problems(site, url)))
    if problems: raise SystemExit('\n'.join(['The docs site is not right:', *problems]))
    print('Every internal link and anchor resolves; nothing is loaded from the network; every picture has words; no page is too heavy.')


if __name__=='__main__':
    if len(sys.argv) not in (2, 3): raise SystemExit('Say which folder to check: python tools/check_site.py FOLDER [ADDRESS OF THE SITE]')
    check_site(*sys.argv[1:])
