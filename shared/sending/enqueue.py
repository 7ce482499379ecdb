"""Run `shared.enqueue`: the name of this command in earlier versions."""

import runpy

if __name__ == "__main__":
    runpy.run_module("shared.enqueue", run_name="__main__")
