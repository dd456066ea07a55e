def pytest_addoption(parser):
    parser.addoption('--nb-flags', default='', help='nbdev flags whose cells run as well, for example "slow" or "slow cuda"')
