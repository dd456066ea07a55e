"""Move everything that moves in the explorers, in a real browser: `python tools/check_widgets.py [FOLDER]`

Serves nbs/tutorials/explorers.ipynb with Voilà and opens it in Chromium. Each slider is moved by the arrow keys and dragged by the mouse, each choice
made, each button pressed; then numbers and picture must be those that follow from where the controls stand: numbers by formulas that are in this file,
pictures by the plain functions of `meme_nb.widgets`. Nothing may come from the network but the icons that Voilà asks a server for, and no script may
fail. Screenshots go to FOLDER (a temporary one if it is left out). Needs `pip install voila playwright ipywidgets ipykernel` and Chromium. The kernel is
this Python: Jupyter starts it for the kernel `python3` that comes with ipykernel.
"""
import argparse, base64, contextlib, io, math, re, shutil, socket, subprocess, sys, tempfile, time
from html import unescape
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image
from playwright.sync_api import Error

from browser import page as browser_page
from meme_nb import widgets
from meme_nb.analysis import settling
from meme_nb.data import fashion_mnist, to_float
from meme_nb.experts import count_flops, iunet_expert
from meme_nb.generate import generate, trajectory
from meme_nb.model import MEME
from meme_nb.router import IntervalRouter

NOTEBOOK = Path(__file__).resolve().parent.parent/'nbs'/'tutorials'/'explorers.ipynb'
PATIENCE = 60      # seconds for one change to show, on a busy machine
WIDTHS = (40, 24, 24, 16)      # of the experts in the notebook's router explorer
ICONS = '/@fortawesome/fontawesome-free@'


# ---- the app -------------------------------------------------------------------------------------------------------

def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def end(process):
    "Ask the server to stop its kernels and itself; insist after a while"
    process.terminate()
    try: process.wait(20)
    except subprocess.TimeoutExpired: process.kill()


@contextlib.contextmanager
def app(folder):
    "Voilà serving a copy of the notebook that lies in `folder`; its address"
    port, log = free_port(), folder/'voila.log'
    shutil.copy2(NOTEBOOK, folder)
    command = [sys.executable, '-m', 'voila', folder/NOTEBOOK.name, '--no-browser', f'--port={port}', '--Voila.ip=127.0.0.1']
    with log.open('w') as out: process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    try:
        wait_for_server(port, process, log)
        yield f'http://127.0.0.1:{port}/'
    finally: end(process)


def wait_for_server(port, process, log):
    "Until somebody listens: asking for a page would start a kernel"
    for _ in range(PATIENCE*4):
        if process.poll() is not None: raise SystemExit(f'Voilà ended at once:\n{log.read_text()[-2000:]}')
        with socket.socket() as s:
            if s.connect_ex(('127.0.0.1', port))==0: return
        time.sleep(.25)
    raise SystemExit(f'Voilà does not answer after {PATIENCE} s:\n{log.read_text()[-2000:]}')


# ---- what has to be seen: numbers by formulas, pictures by the plain functions -------------------------------------

def levels(t, schedule):
    "alpha and sigma of two of the schedules, by their definitions (T = 1000)"
    if schedule=='flow': return 1-(t+1)/1000, (t+1)/1000
    def bar(u): return math.cos((u/1000+.008)/1.008*math.pi/2)**2
    a2 = 1.
    for u in range(t+1): a2 *= max(bar(u+1)/bar(u), .001)
    return a2**.5, (1-a2)**.5


def noise(v):
    "What the noise explorer says and shows at these values"
    a, s = levels(v['time-step t'], v['schedule'])
    image = to_float(fashion_mnist('test').x[v['image']:v['image']+1])[0]
    schedule = getattr(widgets, f"{v['schedule']}_schedule")()
    numbers = {'t = (\\d+)': v['time-step t'], r'alpha = ([\d.]+)': a, r'sigma = ([\d.]+)': s, r'Expert (\d)': v['time-step t']//250,
               r'log-SNR = ([-+.\d]+\d)': 2*math.log(a/s)}
    return numbers, lambda: widgets.noise_picture(v['time-step t'], image, schedule)


def router(v, kept={}):
    "What the router explorer says and shows; its numbers are in a table"
    if not kept: kept['cost'] = [count_flops(iunet_expert(1, w, n_classes=10), (1, 32, 32))/2e6 for w in WIDTHS]
    cost, p = kept['cost'], [v[f'p of expert {k}'] for k in range(4)]
    b = sorted(v[f'boundary {k}'] for k in (1, 2, 3))
    edges = [0, *b, 1000]
    numbers, total = {}, 0
    for k, (lo, hi) in enumerate(zip(edges, edges[1:])):
        steps = sum(lo<=t<hi for t in range(49, 1000, 50))
        total += steps*cost[k]
        row = rf'(?m)^{k}\s+\[{lo}, {hi}\)\s+[-.\d]+ to [-.\d]+\s+'
        numbers |= {row+r'([.\d]+)': p[k], row+r'[.\d]+\s+([.\d]+)': p[k]+(1-p[k])*(hi-lo)/1000, row+r'[.\d]+\s+[.\d]+\s+(\d+)': steps,
                    row+r'[.\d]+\s+[.\d]+\s+\d+\s+([.,\d]+)': steps*cost[k]}
    numbers[r'(?m)^all\s+20\s+([.,\d]+)'] = total
    return numbers, lambda: widgets.router_picture(IntervalRouter(4, boundaries=b), p, cost, unit='million multiply-adds')


def label(choice):
    "The class of an option like `8: bag`, `None` for the one that names no class"
    m = re.match(r'(\d+): ', choice)
    if not (m or choice.startswith(('as the seed', 'one of each'))): raise SystemExit(f'The choice of a class says {choice!r}.')
    return int(m[1]) if m else None


def denoising(v, kept={}):
    "What the denoising player says and shows: twenty steps, 999, 949, ..., 49"
    if not kept: kept['model'] = MEME.load('fashion')
    key = v['seed'], label(v['class'])
    if key not in kept: kept[key] = trajectory(kept['model'], 20, key[0], cond=key[1])
    t, far = 999-50*v['step'], settling(kept[key], v['low up to'])[v['step']]
    numbers = {r'Step (\d+)': v['step'], r't = (\d+)': t, r'expert (\d)': t//250, r'by ([.\d]+) in low': far['low'], r'and ([.\d]+) in high': far['high']}
    return numbers, lambda: widgets.denoising_picture(kept[key], v['step'], v['low up to'])


def lab(v, kept={}):
    "What the sampler lab says and shows: the number of evaluations, and the images"
    if not kept: kept['model'] = MEME.load('fashion')
    evaluations = (2*v['steps']-1 if v['sampler']=='heun' else v['steps'])*(1 if v['guidance']==1 else 2)
    with contextlib.redirect_stdout(io.StringIO()):      # without progress bars
        images = generate(kept['model'], 16, v['sampler'], v['steps'], v['seed'], label(v['class']), v['guidance'])
    numbers = {r'^(\d+) images by '+v['sampler']: 16, r'([.\d]+) evaluations': evaluations}
    return numbers, lambda: widgets._grid(images, f"seeds {v['seed']} to {v['seed']+15}")


def wrong_numbers(text, numbers):
    "The first number in `text` that is not as it should be, as a sentence"
    for pattern, want in numbers.items():
        m = re.search(pattern, text)
        if not m: return f'{pattern!r} is not in {text!r}'
        shown = m[1].replace(',', '')
        digits = len(shown.partition('.')[2])
        if abs(float(shown)-want)>.51*10**-digits+1e-6*abs(want): return f'{m[0]!r} should say {want:g}'


def wrong_picture(png, want):
    "How a PNG differs from another one, as a sentence; a few pixels may be rounded otherwise"
    a, b = (np.asarray(Image.open(io.BytesIO(o)).convert('RGB')).astype(float) for o in (png, want))
    if a.shape!=b.shape: return f'the picture has the shape {a.shape}, and the plain function gives {b.shape}'
    far = int((abs(a-b)>8).any(-1).sum())
    if far>20: return f'{far} pixels of the picture differ from what the plain function gives'


# ---- the page ------------------------------------------------------------------------------------------------------

class Explorer:
    "One explorer on the page: its controls by their labels, its text and its picture"
    def __init__(self, page, number, name, expected):
        self.page, self.name, self.expected = page, name, expected
        self.box = page.locator('.widget-vbox').nth(number)
        self.sliders = {self.said(o): o for o in self.box.locator('.widget-hslider').all()}
        self.choices = {self.said(o): o for o in self.box.locator('.widget-dropdown').all()}

    def said(self, control): return control.locator('.widget-label').inner_text()

    def values(self):
        "Where all controls stand"
        def number(s): return float(s) if '.' in s else int(s)
        picked = {k: o.locator('select').evaluate('e => e.selectedOptions[0]?.text ?? ""').replace('\xa0', ' ') for k, o in self.choices.items()}
        return {**{k: number(o.locator('.widget-readout').inner_text()) for k, o in self.sliders.items()}, **picked}

    def text(self): return self.box.locator('.widget-html-content').nth(0).inner_text()

    def image(self):
        "The PNG of the picture, and its alternative text"
        img = self.box.locator('.widget-html-content img')
        src, alt = img.get_attribute('src'), img.get_attribute('alt')
        return base64.b64decode(src.partition(',')[2]), unescape(alt)

    def fail(self, doing, why): raise SystemExit(f'{self.name}, {doing}: {why}.')

    def wait(self, doing, problem):
        "Until `problem()` finds nothing more; what it found last is what is wrong"
        for _ in range(PATIENCE*10):
            if not (why := problem()): return
            time.sleep(.1)
        self.fail(doing, why)

    def check(self, doing, before=None):
        "Numbers and picture follow from where the controls stand; the picture is another one than `before`"
        values = self.values()
        numbers, picture = self.expected(values)
        want = widgets._png(picture())
        self.wait(doing, lambda: wrong_numbers(self.text(), numbers) or wrong_picture(self.image()[0], want))
        png, alt = self.image()
        if png==before: self.fail(doing, 'the picture is still the same')
        if len(alt)<20: self.fail(doing, f'the picture has no text in its place but {alt!r}')
        return png

    def moved(self, name, doing, act):
        "Do something to a control, and see that it stands elsewhere and all follows"
        before, png = self.values()[name], self.image()[0]
        act()
        self.wait(doing, lambda: f'{name} is still {before}' if self.values()[name]==before else None)
        self.check(doing, png)


def by_keys(explorer, name):
    "Three steps of a slider by the arrow keys, towards where there is room"
    handle = explorer.sliders[name].locator('.noUi-handle')
    now, high = explorer.values()[name], float(handle.get_attribute('aria-valuemax'))
    step = .05 if name=='low up to' else .25 if name=='guidance' else .01 if name[:2]=='p ' else 1
    sign = 1 if now+3*step<=high else -1
    handle.focus()
    for _ in range(3): explorer.page.keyboard.press('ArrowRight' if sign>0 else 'ArrowLeft')
    def problem():
        here = explorer.values()[name]
        if abs(here-now-sign*3*step)>1e-6: return f'three presses of an arrow should lead from {now:g} to {now+sign*3*step:g}, and led to {here:g}'
    explorer.wait(f'{name} by keys', problem)


def by_mouse(explorer, name):
    "Drag a slider's handle by a quarter of its track, towards where there is room"
    slider = explorer.sliders[name]
    slider.scroll_into_view_if_needed()
    handle, track = slider.locator('.noUi-handle').bounding_box(), slider.locator('.noUi-target').bounding_box()
    x, y = handle['x']+handle['width']/2, handle['y']+handle['height']/2
    far = track['width']/4*(1 if x<track['x']+track['width']/2 else -1)
    mouse = explorer.page.mouse
    mouse.move(x, y)
    mouse.down()
    mouse.move(x+far, y, steps=8)
    mouse.up()


def choose(explorer, name, option): explorer.choices[name].locator('select').select_option(label=option)


def other_class(v):
    "One that the seed does not choose anyway"
    return '1: trousers' if v['seed']%10==8 else '8: bag'


def play(explorer):
    "Press play, let it run for a few steps, and pause"
    explorer.box.locator('.jupyter-widgets.widget-play button').first.click()
    began = explorer.values()['step']
    explorer.wait('play', lambda: 'it does not move' if explorer.values()['step']<began+2 else None)
    explorer.box.locator('.jupyter-widgets.widget-play button').first.click()
    time.sleep(2)      # a step may be on its way


def go_through(explorer, options, shots):
    "Every control of one explorer"
    explorer.check('at the start')
    for name in explorer.sliders:
        explorer.moved(name, f'{name} by keys', lambda: by_keys(explorer, name))
        explorer.moved(name, f'{name} by mouse', lambda: by_mouse(explorer, name))
    for name, option in options:
        if callable(option): option = option(explorer.values())
        explorer.moved(name, f'{name}: {option}', lambda: choose(explorer, name, option))
    if explorer.name=='denoising player':
        explorer.moved('step', 'step by the key Home', lambda: explorer.sliders['step'].locator('.noUi-handle').press('Home'))
        explorer.moved('step', 'play', lambda: play(explorer))
    if explorer.name=='sampler lab': explorer.moved('seed', 'other seeds', lambda: explorer.box.get_by_role('button', name='Other seeds').click())
    explorer.box.screenshot(path=shots/f"{explorer.name.replace(' ', '_')}.png")
    print(f'{explorer.name}: {len(explorer.sliders)} sliders by keys and mouse, {len(options)} choices, numbers and pictures are right')


EXPLORERS = [('noise explorer', noise, [('schedule', 'flow'), ('schedule', 'cosine')]), ('router explorer', router, []),
             ('denoising player', denoising, [('class', other_class), ('class', 'as the seed chooses')]), ('sampler lab', lab, [('sampler', 'heun'), ('class', '1: trousers'), ('class', 'one of each, in turn')])]


def intolerable(problems):
    "All but requests for icons, each of which may fail: there may be no network"
    icons = [o for o in problems if o.startswith('asked ') and ICONS in o]
    failed = [o for o in problems if o.startswith('console: Failed to load resource: net::')]
    return [o for o in problems if o not in icons and (o not in failed or len(failed)>len(icons))]


def check_widgets(shots):
    "Stop with a sentence if anything in the explorers is not as it should be"
    matplotlib.use('agg')
    with tempfile.TemporaryDirectory() as folder, app(Path(folder)) as url, browser_page(1280, 900) as page:
        page.goto(url, timeout=PATIENCE*3000)
        page.wait_for_function('document.querySelectorAll(".widget-vbox .widget-html-content img").length==4', timeout=PATIENCE*3000)
        page.screenshot(path=shots/'start.png', full_page=True)
        for number, (name, expected, options) in enumerate(EXPLORERS): go_through(Explorer(page, number, name, expected), options, shots)
        page.screenshot(path=shots/'end.png', full_page=True)
        page.set_viewport_size(dict(width=390, height=844))
        page.wait_for_timeout(500)
        page.screenshot(path=shots/'phone.png', full_page=True)
        problems = dict.fromkeys(intolerable(page.problems))
    if problems: raise SystemExit('\n'.join(['The explorers work, but in the browser:', *problems]))
    print(f'Nothing but icons was asked for elsewhere, no script failed. Screenshots are in {shots}')


if __name__=='__main__':
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('folder', nargs='?', type=Path, help='for screenshots')
    shots = parser.parse_args().folder or Path(tempfile.mkdtemp())
    shots.mkdir(parents=True, exist_ok=True)
    try: check_widgets(shots)
    except Error as e: raise SystemExit(f'The browser could not go on: {e}') from e
