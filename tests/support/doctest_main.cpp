// The main function of every unit test executable.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>

namespace {

// A filter that matches nothing must not look like success: ctest selects test cases by file name.
struct CountRun : doctest::IReporter {
  static inline unsigned selected = 0;

  explicit CountRun(const doctest::ContextOptions&) {}
  void report_query(const doctest::QueryData&) override { selected = 1; }
  void test_run_start() override {}
  void test_run_end(const doctest::TestRunStats& stats) override { selected = stats.numTestCasesPassingFilters; }
  void test_case_start(const doctest::TestCaseData&) override {}
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_end(const doctest::CurrentTestCaseStats&) override {}
  void test_case_exception(const doctest::TestCaseException&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData&) override {}
  void log_message(const doctest::MessageData&) override {}
  void test_case_skipped(const doctest::TestCaseData&) override {}
};

REGISTER_LISTENER("count_run", 1, CountRun);

}  // namespace

int main(int argc, char** argv) {
  doctest::Context context(argc, argv);
  const int result = context.run();
  if (CountRun::selected == 0) {
    std::fputs("no test case matches the filters\n", stderr);
    return 1;
  }
  return result;
}
