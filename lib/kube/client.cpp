#include "kube/client.hpp"

#include <iterator>
#include <utility>

#include "kube/status_error.hpp"

namespace vmbackup::kube {
namespace {

using base::Result;

// Calls `begin` and then `take` for each page. Returns the resource version.
template <typename Begin, typename Take>
Result<std::string> for_each_page(Client& client, const Resource& resource, const std::string& ns, ListOptions options, const Call& call,
                                  const std::stop_token& stop, const Begin& begin, const Take& take) {
  std::string next;
  begin();
  for (;;) {
    Result<ListPage> page = client.list_page(resource, ns, options, next, call, stop);
    if (!page && !next.empty() && page.error().reason() == k_expired) {
      // The server has forgotten the state that the pages were cut from. All at once cannot be forgotten in between.
      next.clear();
      options.page_size = 0;
      begin();
      continue;
    }
    if (!page) return page.error();
    if (const Result<void> taken = take(*page); !taken) return taken.error();
    next = std::move(page->next);
    if (next.empty()) return std::move(page->resource_version);
  }
}

}  // namespace

Result<ObjectList> Client::list(const Resource& resource, const std::string& ns, const ListOptions& options, const Call& call,
                                std::stop_token stop) {
  ObjectList list;
  const auto take = [&list](ListPage& page) -> Result<void> {
    std::move(page.items.begin(), page.items.end(), std::back_inserter(list.items));
    return {};
  };
  Result<std::string> version = for_each_page(
      *this, resource, ns, options, call, stop, [&list] { list.items.clear(); }, take);
  if (!version) return version.error();
  list.resource_version = std::move(version).value();
  return list;
}

Result<std::string> Client::list_each(const Resource& resource, const std::string& ns, const ListOptions& options, const ListSink& sink,
                                      const Call& call, std::stop_token stop) {
  const auto take = [&sink](const ListPage& page) -> Result<void> {
    for (const json::Value& item : page.items) {
      if (Result<void> taken = sink.take(item); !taken) return taken;
    }
    return {};
  };
  return for_each_page(*this, resource, ns, options, call, stop, sink.begin, take);
}

}  // namespace vmbackup::kube
