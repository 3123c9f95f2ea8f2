// SPDX-License-Identifier: Apache-2.0
// Runs all tests of the kernels; the kernels alone are needed, no Python.

#include <cstdio>
#include <vector>

#include "check.h"

int failed_checks = 0;

std::vector<Test>& all_tests() {
  static std::vector<Test> tests;
  return tests;
}

int main() {
  int failed = 0;
  for (const Test& test : all_tests()) {
    const int before = failed_checks;
    test.run();
    if (failed_checks == before) continue;
    ++failed;
    std::printf("FAILED %s\n", test.name);
  }
  std::printf("%d passed, %d failed\n", static_cast<int>(all_tests().size()) - failed, failed);
  return failed > 0;
}
