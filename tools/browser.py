"""Debian's Chromium, driven by Playwright, for checks of what a person sees: `with page() as p: ...`"""
import shutil
from contextlib import contextmanager
from playwright.sync_api import sync_playwright

# a machine without a network: the browser is not to look for one
FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']


def executable():
    "The browser that is installed"
    found = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
    if not found: raise SystemExit('No Chromium is installed: on Debian,  apt-get install chromium')
    return found


@contextmanager
def page(width=1280, height=800, **context):
    "A page of `width` x `height` pixels in a fresh browser; its console errors, page errors and requests to elsewhere are kept in `.problems`"
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=executable(), args=FLAGS)
        page = browser.new_context(viewport=dict(width=width, height=height), **context).new_page()
        page.problems = []
        page.on('console', lambda m: page.problems.append(f'console: {m.text}') if m.type=='error' else None)
        page.on('pageerror', lambda e: page.problems.append(f'page error: {e}'))
        page.on('request', lambda r: None if r.url.startswith(('http://127.0.0.1', 'http://localhost', 'ws://127.0.0.1', 'data:', 'blob:')) else page.problems.append(f'asked {r.url}'))
        yield page
        browser.close()
