// SPDX-License-Identifier: Apache-2.0
// Plain assertions. A test is a function that TEST registers; CHECK says what did not hold and goes on.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

struct Test {
  const char* name;
  void (*run)();
};

std::vector<Test>& all_tests();
extern int failed_checks;

struct Registration {
  Registration(const char* name, void (*run)()) { all_tests().push_back({name, run}); }
};

#define TEST(name)                                          \
  static void name();                                       \
  static const Registration registered_##name(#name, name); \
  static void name()

#define CHECK(holds)                                                        \
  do {                                                                      \
    if (!(holds)) {                                                         \
      ++failed_checks;                                                      \
      std::printf("%s:%d: %s does not hold\n", __FILE__, __LINE__, #holds); \
    }                                                                       \
  } while (false)

// A kernel's answer must be null; if not, it is printed.
#define CHECK_FINE(call)                                                              \
  do {                                                                                \
    const char* const said_by_kernel = (call);                                        \
    if (said_by_kernel != nullptr) {                                                  \
      ++failed_checks;                                                                \
      std::printf("%s:%d: %s says: %s\n", __FILE__, __LINE__, #call, said_by_kernel); \
    }                                                                                 \
  } while (false)

#define CHECK_REFUSED(call) CHECK((call) != nullptr)

constexpr int64_t kThreads = 2;

// Numbers that are the same on every machine: the distributions of <random> are not.
class Random {
public:
  explicit Random(uint32_t seed) : engine_(seed) {}

  int64_t below(int64_t end) { return static_cast<int64_t>(engine_() % static_cast<uint64_t>(end)); }
  double uniform(double low, double high) { return low + (high - low) * (engine_() / 4294967296.0); }

  template <typename T>
  std::vector<T> uniforms(int64_t n, double low, double high) {
    std::vector<T> values(n);
    for (T& value : values) value = static_cast<T>(uniform(low, high));
    return values;
  }

private:
  std::mt19937 engine_;
};
