// A c10d Gloo process group whose rendezvous store is a set of callbacks and which can be aborted from any thread.
// It knows nothing of generations or of who decides about them.
#include "guard.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

namespace {

using std::chrono::milliseconds;

// How often and how long a collective is looked at after its connections were closed; as a rule it comes back at once.
constexpr int LOOKS = 5;
constexpr milliseconds LOOK{300};

// A failure of the rendezvous itself: the caller's store said no, or a peer never came.
struct StoreError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

cloze_bytes lend(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

class CallbackStore final : public c10d::Store {
 public:
  CallbackStore(cloze_store callbacks, milliseconds timeout) : c10d::Store(timeout), callbacks_(callbacks) {}
  CallbackStore(const CallbackStore&) = delete;

  ~CallbackStore() override {
    callbacks_.release(callbacks_.context);
  }

  c10::intrusive_ptr<c10d::Store> clone() override {
    return c10::intrusive_ptr<c10d::Store>::unsafe_reclaim_from_nonowning(this);
  }

  void set(const std::string& key, const std::vector<uint8_t>& value) override {
    std::string error;
    check(callbacks_.set(callbacks_.context, lend(key), {value.data(), value.size()}, &error), key, error);
  }

  std::vector<uint8_t> get(const std::string& key) override {
    const std::string value = fetch(key, timeout_);
    return {value.begin(), value.end()};
  }

  int64_t add(const std::string& key, int64_t amount) override {
    int64_t sum = 0;
    std::string error;
    check(callbacks_.add(callbacks_.context, lend(key), amount, &sum, &error), key, error);
    return sum;
  }

  bool check(const std::vector<std::string>& keys) override {
    std::vector<cloze_bytes> lent;
    for (const auto& key : keys) {
      lent.push_back(lend(key));
    }
    int32_t answer = 0;
    std::string error;
    check(callbacks_.contains(callbacks_.context, lent.data(), lent.size(), &answer, &error), "check", error);
    return answer != 0;
  }

  void wait(const std::vector<std::string>& keys) override {
    wait(keys, timeout_);
  }

  void wait(const std::vector<std::string>& keys, const milliseconds& timeout) override {
    for (const auto& key : keys) {
      fetch(key, std::min(timeout, timeout_));
    }
  }

  // Gloo forgets its keys; the store's owner drops them with the generation.
  bool deleteKey(const std::string&) override {
    return false;
  }

  int64_t getNumKeys() override {
    throw StoreError("the rendezvous store cannot count its keys");
  }

 private:
  std::string fetch(const std::string& key, milliseconds timeout) {
    std::string value;
    check(callbacks_.get(callbacks_.context, lend(key), timeout.count(), &value), key, value);
    return value;
  }

  static void check(int32_t status, const std::string& key, const std::string& error) {
    if (status != 0) {
      throw StoreError("rendezvous store, key " + key + ": " + error);
    }
  }

  cloze_store callbacks_;
};

class Group final : public c10d::ProcessGroupGloo {
 public:
  using ProcessGroupGloo::ProcessGroupGloo;

  // Fails whatever waits on a connection of this group and closes them all, so that the peers notice as well. The
  // contexts are constant after construction and pairs lock themselves: any thread may call this.
  void closeConnections(const std::string& why) {
    closed_ = true;
    for (auto& context : contexts_) {
      for (int peer = 0; peer < getSize(); ++peer) {
        auto* pair = peer == getRank() ? nullptr : context->getPair(peer).get();
        if (pair != nullptr) {
          // One that cannot be closed must not keep the others open.
          cloze::best_effort([&] {
            reinterpret_cast<gloo::transport::tcp::Pair*>(pair)->signalExceptionExternal(why);
          });
        }
      }
    }
  }

  bool isClosed() const {
    return closed_;
  }

  // A collective never came back: its thread would be waited for in vain.
  void abandon() {
    abandoned_ = true;
  }

  bool isAbandoned() const {
    return abandoned_;
  }

 private:
  std::atomic<bool> closed_{false};
  std::atomic<bool> abandoned_{false};
};

// Waits until a collective is done, one way or another. Gloo forgets whoever waits for a send that its device thread has
// just taken up for a peer when the connection breaks (Pair::handleRemotePendingRecv, write): nothing that is public wakes
// it. So a collective whose connections are closed is given up when it does not come back. It waits then, in a thread of
// its own, and touches no memory any more: between two waits Gloo adds up or copies a megabyte at most. A process that
// stood still does not take the time for patience: every look is a wait of its own.
bool comesBack(c10d::Work& work, const Group& group) {
  struct Done {
    std::mutex mutex;
    std::condition_variable changed;
    bool done = false;
  };
  const auto done = std::make_shared<Done>();
  work.getFuture()->addCallback([done](c10::ivalue::Future&) {
    const std::lock_guard<std::mutex> lock(done->mutex);
    done->done = true;
    done->changed.notify_all();
  });
  std::unique_lock<std::mutex> lock(done->mutex);
  for (int looks = 0; looks < LOOKS;) {
    if (done->changed.wait_for(lock, LOOK, [&] { return done->done; })) {
      return true;
    }
    looks = group.isClosed() ? looks + 1 : 0;
  }
  return false;
}

// c10d's flight recorder is one for the whole process, and enters a group that it does not know into its map before it
// takes its lock (libtorch 2.11): two groups that begin their first collectives at once would corrupt it.
std::mutex launching;

// Runs one collective to its end. A group that failed once is closed: its members no longer agree on what comes next,
// and the peers that still wait for this rank must hear of it now and not after their timeouts.
template <class F>
cloze_status collective(Group& group, F&& body) noexcept {
  cloze_status status;
  try {
    auto work = [&] {
      const std::lock_guard<std::mutex> alone(launching);
      return body();
    }();
    if (!comesBack(*work, group)) {
      group.abandon();
      return cloze::failed(CLOZE_PEER_LOST, "the connections are closed, and Gloo does not come back");
    }
    work->wait();
    return {CLOZE_OK, nullptr};
  } catch (const gloo::IoException& error) {
    status = cloze::failed(CLOZE_PEER_LOST, error);
  } catch (const std::exception& error) {
    status = cloze::failed(CLOZE_TORCH, error);
  } catch (...) {
    status = cloze::failed(CLOZE_TORCH, "unknown C++ exception");
  }
  cloze::best_effort([&] { group.closeConnections("this rank left the group after an error"); });
  return status;
}

} // namespace

struct cloze_gloo {
  c10::intrusive_ptr<Group> group;
};

void cloze_buffer_assign(void* buffer, cloze_bytes content) {
  static_cast<std::string*>(buffer)->assign(reinterpret_cast<const char*>(content.data), content.len);
}

cloze_status cloze_gloo_connect(cloze_store callbacks, int32_t rank, int32_t world, const char* address,
                                int64_t timeout_ms, cloze_gloo** out) {
  const milliseconds timeout(timeout_ms);
  c10::intrusive_ptr<c10d::Store> store;
  auto options = c10::intrusive_ptr<c10d::ProcessGroupGloo::Options>();
  const auto prepared = cloze::guarded([&] {
    store = c10::make_intrusive<CallbackStore>(callbacks, timeout);
    options = c10d::ProcessGroupGloo::Options::create(timeout);
    options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname(address));
    options->threads = 1; // one collective at a time
  });
  if (prepared.kind != CLOZE_OK) {
    return prepared;
  }
  // From here on whatever fails is a peer or the store.
  auto status = cloze::guarded([&] {
    *out = new cloze_gloo{c10::make_intrusive<Group>(store, rank, world, options)};
  });
  if (status.kind != CLOZE_OK) {
    status.kind = CLOZE_PEER_LOST;
  }
  return status;
}

cloze_status cloze_gloo_all_reduce_sum(cloze_gloo* gloo, const void* tensor) {
  return collective(*gloo->group, [&] {
    std::vector<at::Tensor> tensors{*static_cast<const at::Tensor*>(tensor)};
    c10d::AllreduceOptions options;
    options.reduceOp = c10d::ReduceOp::SUM;
    return gloo->group->allreduce(tensors, options);
  });
}

cloze_status cloze_gloo_broadcast(cloze_gloo* gloo, const void* tensor, int32_t root) {
  return collective(*gloo->group, [&] {
    std::vector<at::Tensor> tensors{*static_cast<const at::Tensor*>(tensor)};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    options.rootTensor = 0;
    return gloo->group->broadcast(tensors, options);
  });
}

void cloze_gloo_abort(cloze_gloo* gloo) {
  cloze::best_effort([&] { gloo->group->closeConnections("aborted"); });
}

void cloze_gloo_free(cloze_gloo* gloo) {
  if (gloo->group->isAbandoned()) {
    return; // Whoever destroys it waits for the thread that does not come back. It is left behind, with its thread.
  }
  cloze::best_effort([&] { delete gloo; });
}
