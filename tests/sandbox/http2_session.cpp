#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <vector>

#include "http_session.hpp"

namespace vmbackup::sandbox {

namespace {

using Break = test::Answer::Break;

constexpr std::uint32_t k_most_streams = 250;  // kube-apiserver's default
constexpr std::int32_t k_window = 4 * 1024 * 1024;
constexpr std::size_t k_most_body = 4 * 1024 * 1024;

struct Stream {
  std::int32_t id = 0;
  Incoming incoming;
  std::shared_ptr<Response> response = std::make_shared<Response>();
  std::function<void()> cancel;
  bool submitted = false;
  bool broken = false;  // all that may be sent is sent, and the rest shall never come
};

class Http2Session final : public HttpSession {
 public:
  Http2Session(Front& front, Identity identity) : front_(front), identity_(std::move(identity)) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_server_new(&session_, callbacks, this);
    nghttp2_session_callbacks_del(callbacks);
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, k_most_streams},
                                               {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, k_window}};
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, 2);
    nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, k_window);
  }

  ~Http2Session() override {
    for (auto& [id, stream] : streams_) let_go(*stream);
    nghttp2_session_del(session_);
  }

  bool take(std::string_view bytes) override {
    const ssize_t used = nghttp2_session_mem_recv(session_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    return used == static_cast<ssize_t>(bytes.size());
  }

  void fill(std::string& out) override {
    std::vector<std::int32_t> changed;
    changed.swap(changed_);
    for (const std::int32_t id : changed) {
      const auto found = streams_.find(id);
      if (found != streams_.end()) move_on(*found->second);
    }
    while (!cut_) {
      const std::uint8_t* data = nullptr;
      const ssize_t length = nghttp2_session_mem_send(session_, &data);
      if (length > 0) out.append(reinterpret_cast<const char*>(data), static_cast<std::size_t>(length));
      if (!reset_broken() && length <= 0) break;
    }
  }

  bool over() const override {
    if (cut_ || (going_ && streams_.empty() && nghttp2_session_want_write(session_) == 0)) return true;
    return nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0;
  }

  void go_away() override {
    if (std::exchange(going_, true)) return;
    nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_), NGHTTP2_NO_ERROR, nullptr, 0);
  }

 private:
  static void let_go(Stream& stream) {
    stream.response->changed = nullptr;
    if (stream.cancel) stream.cancel();
  }

  void move_on(Stream& stream) {
    Response& response = *stream.response;
    if (!response.begun()) return;
    if (response.broken() == Break::lose) {
      cut_ = true;
      return;
    }
    if (response.broken() == Break::reset && !stream.submitted) {
      nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id, NGHTTP2_INTERNAL_ERROR);
      return;
    }
    if (std::exchange(stream.submitted, true)) {
      nghttp2_session_resume_data(session_, stream.id);
      return;
    }
    const std::string status = std::to_string(response.status());
    std::vector<nghttp2_nv> fields;
    const auto field = [&fields](const std::string& name, const std::string& value) {
      fields.push_back({reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
                        reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE});
    };
    static const std::string k_status = ":status";
    field(k_status, status);
    for (const auto& [name, value] : response.headers()) field(name, value);
    nghttp2_data_provider provider{};
    provider.source.ptr = &stream;
    provider.read_callback = read_body;
    nghttp2_submit_response(session_, stream.id, fields.data(), fields.size(), &provider);
    if (response.broken() == Break::go_away) go_away();
  }

  // Streams whose last bytes are out, and that shall break: alone for a stream, with the connection for half a body.
  // False: there were none.
  bool reset_broken() {
    bool any = false;
    for (auto& [id, stream] : streams_) {
      if (!stream->broken) continue;
      stream->broken = false;
      any = true;
      if (stream->response->broken() == Break::half) {
        cut_ = true;
      } else {
        nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, NGHTTP2_INTERNAL_ERROR);
      }
    }
    return any;
  }

  static ssize_t read_body(nghttp2_session*, std::int32_t, std::uint8_t* buffer, std::size_t length, std::uint32_t* flags,
                           nghttp2_data_source* source, void*) {
    Stream& stream = *static_cast<Stream*>(source->ptr);
    std::string& body = stream.response->body();
    const std::size_t count = std::min(length, body.size());
    std::memcpy(buffer, body.data(), count);
    body.erase(0, count);
    const bool last = body.empty() && stream.response->ended();
    const Break broken = stream.response->broken();
    if (last && (broken == Break::half || broken == Break::reset)) {
      stream.broken = true;
      return count == 0 ? static_cast<ssize_t>(NGHTTP2_ERR_DEFERRED) : static_cast<ssize_t>(count);
    }
    if (last) *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (count == 0 && !last) return NGHTTP2_ERR_DEFERRED;
    return static_cast<ssize_t>(count);
  }

  static Http2Session& self(void* user) { return *static_cast<Http2Session*>(user); }

  static int on_begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    std::unique_ptr<Stream> stream = std::make_unique<Stream>();
    stream->id = frame->hd.stream_id;
    stream->incoming.protocol = "h2";
    self(user).streams_[stream->id] = std::move(stream);
    return 0;
  }

  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name, std::size_t name_length,
                       const std::uint8_t* value, std::size_t value_length, std::uint8_t, void* user) {
    const auto found = self(user).streams_.find(frame->hd.stream_id);
    if (found == self(user).streams_.end()) return 0;
    Incoming& incoming = found->second->incoming;
    const std::string key(reinterpret_cast<const char*>(name), name_length);
    std::string text(reinterpret_cast<const char*>(value), value_length);
    if (key == ":method") {
      incoming.method = std::move(text);
    } else if (key == ":path") {
      incoming.target = std::move(text);
    } else {
      incoming.headers.emplace_back(key, std::move(text));
    }
    return 0;
  }

  static int on_data(nghttp2_session* session, std::uint8_t, std::int32_t id, const std::uint8_t* data, std::size_t length, void* user) {
    const auto found = self(user).streams_.find(id);
    if (found == self(user).streams_.end()) return 0;
    found->second->incoming.body.append(reinterpret_cast<const char*>(data), length);
    if (found->second->incoming.body.size() > k_most_body)
      nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_ENHANCE_YOUR_CALM);
    return 0;
  }

  static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    const bool last = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (!last || (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)) return 0;
    Http2Session& session = self(user);
    const auto found = session.streams_.find(frame->hd.stream_id);
    if (found == session.streams_.end()) return 0;
    Stream& stream = *found->second;
    // Only marked here: the cluster's callbacks must not reach into nghttp2.
    stream.response->changed = [&session, id = stream.id] { session.changed_.push_back(id); };
    stream.cancel = session.front_.handle(stream.incoming, session.identity_, stream.response);
    return 0;
  }

  static int on_close(nghttp2_session*, std::int32_t id, std::uint32_t, void* user) {
    const auto found = self(user).streams_.find(id);
    if (found == self(user).streams_.end()) return 0;
    let_go(*found->second);
    self(user).streams_.erase(found);
    return 0;
  }

  Front& front_;
  const Identity identity_;
  nghttp2_session* session_ = nullptr;
  std::map<std::int32_t, std::unique_ptr<Stream>> streams_;
  std::vector<std::int32_t> changed_;
  bool going_ = false;
  bool cut_ = false;  // the connection shall break
};

}  // namespace

std::unique_ptr<HttpSession> make_http2_session(Front& front, Identity identity) {
  return std::make_unique<Http2Session>(front, std::move(identity));
}

}  // namespace vmbackup::sandbox
