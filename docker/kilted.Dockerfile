# SPDX-License-Identifier: Apache-2.0
# docker build -f docker/kilted.Dockerfile -t sphmask:kilted . && docker run --rm -it --network host --ipc host sphmask:kilted
FROM ros:kilted-ros-base

# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends \
      g++ python3-dev python3-pip python3-venv \
      ros-kilted-vision-msgs ros-kilted-rosbag2-storage-mcap \
    && rm -rf /var/lib/apt/lists/*
# Ubuntu's Python is closed to pip (PEP 668): a virtual environment that sees ROS, first on the PATH,
# so that colcon's scripts and ros2 launch run with it.
RUN python3 -m venv --system-site-packages /opt/sphmask
ENV PATH=/opt/sphmask/bin:$PATH
COPY . /workspace/src/sphmask
WORKDIR /workspace
# hadolint ignore=DL3013
RUN python3 -m pip install --no-cache-dir "torch>=2.6" --index-url https://download.pytorch.org/whl/cpu \
    && python3 -m pip install --no-cache-dir ./src/sphmask "numpy<2"

SHELL ["/bin/bash", "-c"]
# hadolint ignore=DL4006
RUN source /opt/ros/kilted/setup.bash \
    && colcon build --packages-select sphmask_ros --cmake-args -DPython3_EXECUTABLE="$(command -v python3)" \
    && sed -i '$i source /workspace/install/setup.bash' /ros_entrypoint.sh
CMD ["ros2", "launch", "sphmask_ros", "segment.launch.py"]
