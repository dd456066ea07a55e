"""Open a built docs site in Chromium as readers do, and check it: `python tools/check_browser.py [_docs] [--shots FOLDER] [--no-axe]`

Each page, at 1280 and at 390 pixels, light and dark: nothing comes from the network, no script fails, every picture shows, nothing
sticks out at the side of a phone, and axe-core finds no serious violation of accessibility. Then the site: the search finds a
class, dark mode is remembered, and the menus open. `--shots` saves pictures of pages, to be looked at; `--no-axe` does without
axe-core, which npm gets otherwise, once.
"""
import argparse, functools, os, subprocess, tarfile, tempfile, threading, time
from concurrent.futures import ThreadPoolExecutor
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from browser import page as browser_page
from playwright.sync_api import Error

AXE = '4.14.1'
TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']
# what changes with the colours or the width of a page; all other rules need to be asked once
COLOURS = ['color-contrast', 'link-in-text-block']
LAYOUT = ['scrollable-region-focusable', 'target-size', 'aria-hidden-focus', 'button-name', 'link-name']
WIDE, PHONE = dict(width=1280, height=800), dict(width=390, height=844)
TERM, TERM_PAGE = 'IntervalRouter', 'router.html'

# elements that reach beyond the right edge of the window, though no box around them scrolls; what is hidden does not count
STICKING_OUT = '''() => {
  const scrolls = e => { for (let a = e.parentElement; a && a !== document.body; a = a.parentElement)
    if (/auto|scroll/.test(getComputedStyle(a).overflowX)) return true; return false };
  const root = document.documentElement, found = [];
  if (root.scrollWidth > root.clientWidth) found.push(`the whole page scrolls sideways (${root.scrollWidth} pixels)`);
  for (const e of document.querySelectorAll('body *')) {
    const box = e.getBoundingClientRect();
    if (box.width && box.right > root.clientWidth + 1 && e.checkVisibility({visibilityProperty: true}) && !scrolls(e)) {
      found.push(`${e.tagName.toLowerCase()} ${e.id || e.className} "${e.textContent.trim().slice(0, 40)}" ends at ${Math.round(box.right)}`);
      break;
    } }
  return found }'''
# pictures that do not show, or say nothing to those who cannot see them
BAD_PICTURES = '''async () => {
  const found = [];
  for (const e of document.images) {
    e.loading = 'eager';
    await e.decode().catch(() => 0);
    const name = e.getAttribute('src').slice(0, 60);
    if (!e.naturalWidth) found.push(`the picture ${name} does not show`);
    if (!e.alt.trim()) found.push(`the picture ${name} has no alternative text`);
  }
  return found }'''
# colours of code are the same wherever they are: of blocks with no kind of word that is not in an earlier one, the text alone is left
LEAVE_OUT_COLOURS = '''() => {
  const seen = new Set();
  for (const code of document.querySelectorAll('pre code')) {
    const kinds = [...code.querySelectorAll('span')].map(e => e.className);
    if (kinds.every(k => seen.has(k))) code.textContent = code.textContent;
    kinds.forEach(k => seen.add(k));
  } }'''
RUN_AXE = '''async only => {
  const run = await axe.run(document, {runOnly: only, resultTypes: ['violations']});
  return run.violations.map(v => ({
    id: v.id, impact: v.impact, help: v.help, n: v.nodes.length, where: v.nodes[0].html.slice(0, 120), target: String(v.nodes[0].target)})) }'''


# ---- what is needed: the site at an address, and axe-core ----------------------------------------------------------

class Quiet(SimpleHTTPRequestHandler):
    "Serves files without a word, and lets the browser keep them"
    def log_message(self, *args): pass

    def end_headers(self):
        self.send_header('Cache-Control', 'max-age=600')
        super().end_headers()


def serve(site):
    "Serve the folder `site` on this machine; its address"
    server = ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f'http://127.0.0.1:{server.server_port}/'


def axe_script():
    "The text of axe-core, from npm when it is not here yet"
    cache = Path(os.environ.get('XDG_CACHE_HOME') or Path.home()/'.cache')/'axe-core'/f'axe-{AXE}.min.js'
    if not cache.is_file():
        cache.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as d:
            try: subprocess.run(['npm', 'pack', '--silent', f'axe-core@{AXE}'], cwd=d, check=True, capture_output=True, text=True, timeout=120)
            except (OSError, subprocess.SubprocessError) as e:
                raise SystemExit(f'axe-core {AXE} is not here, and npm did not bring it ({e}): install npm, or leave accessibility out with --no-axe.') from e
            with tarfile.open(next(Path(d).glob('*.tgz'))) as t: text = t.extractfile('package/axe.min.js').read()
        part = cache.with_suffix(f'.{os.getpid()}')
        part.write_bytes(text)
        part.replace(cache)
    return cache.read_text(encoding='utf-8')


# ---- one page ------------------------------------------------------------------------------------------------------

def resize(p, size):
    "Make the window of this size, and let the page know"
    p.set_viewport_size(size)
    p.evaluate('new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))')


def set_dark(p, dark):
    "Turn dark mode on or off, as the button does"
    p.emulate_media(color_scheme='dark' if dark else 'light')
    p.wait_for_function('dark => document.documentElement.classList.contains("quarto-dark")===dark', arg=dark)
    p.wait_for_timeout(60)          # the site's script looks at the colours once more


def violations(p, only, where):
    "Serious and critical violations that axe-core finds, as sentences"
    for v in p.evaluate(RUN_AXE, only):
        if v['impact'] in ('serious', 'critical'):
            yield f'{where}: {v["help"]} ({v["id"]}, {v["impact"]}, {v["n"]} times), first at {v["target"]}: {v["where"]}'


def check_axe(p, axe):
    "All rules in light at 1280 pixels; then those that colours or the width can break"
    p.evaluate(axe)
    p.evaluate(LEAVE_OUT_COLOURS)
    def rules(*names): return dict(type='rule', values=[o for n in names for o in n])
    yield from violations(p, dict(type='tag', values=TAGS), '1280 px, light')
    set_dark(p, True)
    yield from violations(p, rules(COLOURS), '1280 px, dark')
    resize(p, PHONE)
    yield from violations(p, rules(COLOURS, LAYOUT), '390 px, dark')
    set_dark(p, False)
    yield from violations(p, rules(COLOURS), '390 px, light')


def check_page(p, url, axe):
    "What is wrong with the page at `url`"
    p.problems.clear()
    p.emulate_media(color_scheme='light')
    for size in PHONE, WIDE:
        resize(p, size)
        answer = p.url==url or p.goto(url, wait_until='load').ok
        if not answer: yield 'is not served'
        yield from (f'{size["width"]} px: {o}' for o in p.evaluate(STICKING_OUT))
    yield from p.evaluate(BAD_PICTURES)
    if axe: yield from check_axe(p, axe)
    yield from p.problems


# ---- the site as a whole -------------------------------------------------------------------------------------------

def open_menu(p):
    "On a phone, what the bar at the top offers is in a menu"
    button = p.locator('.navbar-toggler')
    if button.is_visible() and not p.locator('#quarto-search input').is_visible():
        button.click()
        p.locator('#quarto-search input').wait_for(state='visible')
        p.wait_for_timeout(400)


def check_search(p, start, where, axe):
    "The search leads to the page of a class that it is asked for, and what it finds can be read"
    p.goto(start)
    open_menu(p)
    p.locator('#quarto-search input').fill(TERM)
    first = p.locator('.search-result').first
    try: first.wait_for(timeout=20000)
    except Error: return [f'{where}: the search does not find {TERM}']
    found = []
    if axe: p.evaluate(axe)
    for dark in (True, False) if axe else ():
        set_dark(p, dark)
        found += violations(p, dict(type='rule', values=COLOURS), f'{where}, search open, {"dark" if dark else "light"}')
    with p.expect_navigation(): p.keyboard.press('Enter')
    anchor = p.evaluate('location.hash ? document.getElementById(decodeURIComponent(location.hash.slice(1)))?.textContent ?? "" : ""')
    page = p.url.split('#')[0].rsplit('/', 1)[-1]
    if page!=TERM_PAGE or TERM not in anchor: found.append(f'{where}: the first that the search finds for {TERM} is {p.url}, not its place on {TERM_PAGE}')
    return found


def is_dark(p):
    "Whether the page's background is dark"
    return p.evaluate('getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0) < 384')


def toggle(p):
    "Press the dark mode button by the keyboard"
    before = is_dark(p)
    p.locator('.quarto-color-scheme-toggle').first.focus()
    p.keyboard.press('Enter')
    try: p.wait_for_function('before => document.documentElement.classList.contains("quarto-dark")!==before', arg=before, timeout=3000)
    except Error: pass
    return is_dark(p)!=before


def check_dark(p, base, other):
    "The button changes the colours, and the next page remembers them, whatever the system prefers"
    p.emulate_media(color_scheme='light')
    p.goto(base)
    if is_dark(p): yield 'is dark, where the reader prefers light'
    if not toggle(p) or not is_dark(p): yield 'the dark mode button does nothing'
    p.goto(other)
    if not is_dark(p): yield 'dark mode is not remembered on the next page'
    if not toggle(p): yield 'the dark mode button does nothing the second time'
    p.emulate_media(color_scheme='dark')
    p.goto(base)
    if is_dark(p): yield 'light mode is not remembered, where the system prefers dark'
    p.evaluate('localStorage.clear()')
    p.goto(base)
    if not is_dark(p): yield 'is not dark, where the reader prefers dark'
    p.emulate_media(color_scheme='light')


def check_sidebar(p, base):
    "On a phone the list of pages opens and closes"
    p.goto(base)
    links = p.locator('#quarto-sidebar a[href$=".html"]')
    def seen(): return p.wait_for_timeout(400) or links.first.bounding_box()['x']>=0
    p.locator('.quarto-btn-toggle').first.click()
    if not seen(): yield 'the list of pages does not open'
    p.locator('#quarto-sidebar-glass').click(position=dict(x=370, y=400))
    if seen(): yield 'the list of pages does not close'


def check_site_as_a_whole(p, base, pages, axe):
    "Search, dark mode and menus, at both widths"
    deep = next((o for o in pages if '/' in o), pages[0])
    for size in WIDE, PHONE:
        resize(p, size)
        where = f'{size["width"]} px'
        yield from check_search(p, base, f'index.html, {where}', axe)
        yield from check_search(p, base+deep, f'{deep}, {where}', None)
        yield from (f'index.html, {where}: {o}' for o in check_dark(p, base, base+deep))
    yield from (f'index.html, {where}: {o}' for o in check_sidebar(p, base))


# ---- all of it -----------------------------------------------------------------------------------------------------

def whole(sentences, what):
    "A list of each sentence once; where the browser gives up, that is one too"
    found = []
    try: found.extend(sentences)
    except Error as e: found.append(f'{what} could not be checked to the end: {e.message.splitlines()[0]}')
    return list(dict.fromkeys(found))


def shoot(p, url, folder, name):
    "Pictures of the top of a page, at both widths, light and dark, and of all of it on a phone"
    for mode in 'light', 'dark':
        for size in WIDE, PHONE:
            resize(p, size)
            p.goto(url)
            set_dark(p, mode=='dark')
            p.screenshot(path=folder/f'{name}_{size["width"]}_{mode}.png')
    set_dark(p, False)
    p.screenshot(path=folder/f'{name}_390_whole.png', full_page=True)


def check_pages(base, names, axe, shots):
    "What is wrong with these pages, in a browser of their own"
    found = []
    with browser_page(**PHONE, reduced_motion='reduce') as p:
        for name in names:
            began = time.monotonic()
            wrong = whole(check_page(p, base+name, axe), 'the page')
            found += [f'{name}, {o}' for o in wrong]
            print(f'{time.monotonic()-began:6.1f} s  {name}{f": {len(wrong)} wrong" if wrong else ""}', flush=True)
            if shots: shoot(p, base+name, shots, name.removesuffix('.html').replace('/', '_'))
    return found


def check_whole(base, pages, axe):
    "What is wrong with the site as a whole, in a browser of its own"
    with browser_page(**WIDE, reduced_motion='reduce') as p:
        return [*whole(check_site_as_a_whole(p, base, pages, axe), 'search, dark mode and menus'), *(f'whole site: {o}' for o in p.problems)]


def check_browser(site, axe=True, shots=None):
    "Print what was seen; the sentences that say what is wrong"
    site, start, shots = Path(site).resolve(), time.monotonic(), Path(shots) if shots else None
    pages = sorted((f.relative_to(site).as_posix() for f in site.rglob('*.html')), key=lambda o: (site/o).stat().st_size)
    if not pages: return [f'{site} has no pages: build the docs first.']
    if shots: shots.mkdir(parents=True, exist_ok=True)
    base, script = serve(site), axe_script() if axe else None
    with ThreadPoolExecutor(3) as pool:          # two browsers, each with every other page, and one for the site as a whole
        halves = [pool.submit(check_pages, base, pages[k::2], script, shots) for k in range(2)]
        jobs = [*halves, pool.submit(check_whole, base, pages, script)]
        found = [o for job in jobs for o in job.result()]
    widths = f'{WIDE["width"]} and {PHONE["width"]} pixels'
    print(f'{time.monotonic()-start:6.1f} s  {len(pages)} pages, at {widths}, light and dark, {f"axe-core {AXE}" if axe else "without axe-core"}')
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('site', nargs='?', default='_docs', help='folder of the built site')
    parser.add_argument('--shots', metavar='FOLDER', help='save pictures of every page there')
    parser.add_argument('--no-axe', action='store_true', help='leave accessibility out')
    args = parser.parse_args()
    found = check_browser(args.site, not args.no_axe, args.shots)
    if found: raise SystemExit('\n'.join([f'The docs site is not right in a browser, in {len(found)} ways:', *found]))
    print('No external request, no error, nothing sticks out, every picture has its text; search, dark mode and menus work.')


if __name__=='__main__': main()
