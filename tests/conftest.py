import os

if int(os.environ.get('PYTEST_XDIST_WORKER_COUNT', 1))>1: os.environ['OMP_NUM_THREADS'] = '1'      # several tests at a time: a core for each


def pytest_addoption(parser):
    parser.addoption('--nb-flags', default='', help='nbdev flags whose cells run as well, for example "slow" or "slow cuda"')
