internal import Glibc
internal import Synchronization

/// Threads that all run the same body: the caller is thread 0, the others wait between jobs.
///
/// Waiting threads look for a job for a few microseconds and then sleep, so that an idle pool costs
/// nothing and back-to-back steps start at once. Nothing is pinned to a core.
package final class ThreadPool: @unchecked Sendable {
  private let shared: SharedJob
  private let workers: [pthread_t]

  /// The number of threads, the caller included.
  package var threads: Int { shared.threads }

  /// Creates a pool.
  ///
  /// Where the system refuses a thread, the pool is smaller than asked for: read `threads`.
  ///
  /// - Parameter threads: the number of threads, at least 1; `nil` for what this process may use.
  package init(threads: Int? = nil) {
    let wanted = max(1, threads ?? ThreadBudget.current.threads)
    let shared = SharedJob()
    var workers: [pthread_t] = []
    while workers.count + 1 < wanted {
      guard let worker = startWorker(thread: workers.count + 1, of: shared) else { break }
      workers.append(worker)
    }
    // No worker reads it before the first job is published.
    shared.threads = workers.count + 1
    self.shared = shared
    self.workers = workers
  }

  deinit {
    shared.publish(nil)
    for worker in workers { pthread_join(worker, nil) }
  }

  /// Runs `body(thread, threads)` once on every thread and returns when all have returned.
  ///
  /// Jobs of several callers run one after another.
  ///
  /// - Requires: the caller is not inside a body of the same pool.
  package func run(_ body: @Sendable (_ thread: Int, _ threads: Int) -> Void) {
    shared.callers.lock()
    defer { shared.callers.unlock() }
    withoutActuallyEscaping(body) { body in
      shared.publish(body)
      shared.execute(thread: 0)
      shared.waitForWorkers()
    }
  }
}

/// What the threads of a pool share. Workers own it too, so that a pool can go while they finish.
private final class SharedJob: @unchecked Sendable {
  typealias Body = @Sendable (Int, Int) -> Void

  /// How often a waiting thread looks before it sleeps: a few microseconds.
  private static let looks = 4_000

  /// Held by the one caller whose job runs.
  let callers = Condition()
  /// The number of threads. Written before the first job.
  var threads = 1
  /// The job, or `nil` for the end. Written while no worker runs; published by `generation`.
  private var body: Body?
  /// The number of jobs so far.
  private let generation = Atomic<Int>(0)
  /// The workers that have not finished the current job.
  private let running = Atomic<Int>(0)
  /// Signals a new generation.
  private let started = Condition()
  /// Signals that `running` is 0.
  private let finished = Condition()

  /// Hands `body` to all workers; `nil` lets them end.
  func publish(_ body: Body?) {
    self.body = body
    running.store(threads - 1, ordering: .relaxed)
    // Under the lock: a worker is either before its last look or already asleep.
    started.lock()
    generation.add(1, ordering: .releasing)
    started.broadcast()
    started.unlock()
  }

  /// Waits for the job after `last`; returns `false` iff it is the end.
  func waitForJob(after last: Int) -> Bool {
    for _ in 0..<Self.looks where generation.load(ordering: .acquiring) != last {
      return body != nil
    }
    started.lock()
    while generation.load(ordering: .acquiring) == last { started.wait() }
    started.unlock()
    return body != nil
  }

  /// Runs the body. Not inlined, so that no reference to the body outlives the call.
  @inline(never)
  func execute(thread: Int) {
    body?(thread, threads)
  }

  /// Notes that a worker has finished the job.
  func finish() {
    guard running.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 else { return }
    finished.lock()
    finished.broadcast()
    finished.unlock()
  }

  /// Waits until all workers have finished, then forgets the body.
  func waitForWorkers() {
    var looks = 0
    while running.load(ordering: .acquiring) != 0, looks < Self.looks { looks += 1 }
    if running.load(ordering: .acquiring) != 0 {
      finished.lock()
      while running.load(ordering: .acquiring) != 0 { finished.wait() }
      finished.unlock()
    }
    body = nil
  }
}

/// A lock with a condition to wait for, at an address of its own.
private final class Condition: @unchecked Sendable {
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

  init() {
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(condition, nil)
  }

  deinit {
    pthread_cond_destroy(condition)
    pthread_mutex_destroy(mutex)
    condition.deallocate()
    mutex.deallocate()
  }

  func lock() { pthread_mutex_lock(mutex) }
  func unlock() { pthread_mutex_unlock(mutex) }
  func wait() { pthread_cond_wait(condition, mutex) }
  func broadcast() { pthread_cond_broadcast(condition) }
}

/// What a worker is told when it starts.
private final class WorkerStart {
  let thread: Int
  let shared: SharedJob

  init(thread: Int, shared: SharedJob) {
    self.thread = thread
    self.shared = shared
  }
}

/// Starts worker `thread` with an 8 MiB stack and all signals blocked, so that they reach the main
/// thread; returns `nil` where the system has no thread left.
private func startWorker(thread: Int, of shared: SharedJob) -> pthread_t? {
  let attributes = UnsafeMutablePointer<pthread_attr_t>.allocate(capacity: 1)
  pthread_attr_init(attributes)
  defer {
    pthread_attr_destroy(attributes)
    attributes.deallocate()
  }
  pthread_attr_setstacksize(attributes, 8 << 20)
  var all = sigset_t()
  var previous = sigset_t()
  sigfillset(&all)
  pthread_sigmask(SIG_SETMASK, &all, &previous)
  defer { pthread_sigmask(SIG_SETMASK, &previous, nil) }
  let start = Unmanaged.passRetained(WorkerStart(thread: thread, shared: shared))
  var worker: pthread_t = 0
  let code = pthread_create(
    &worker, attributes,
    { argument in
      guard let argument else { return nil }
      let start = Unmanaged<WorkerStart>.fromOpaque(argument).takeRetainedValue()
      work(thread: start.thread, shared: start.shared)
      return nil
    }, start.toOpaque())
  guard code == 0 else {
    start.release()
    return nil
  }
  return worker
}

/// Runs jobs until the end is published.
private func work(thread: Int, shared: SharedJob) {
  var generation = 0
  while shared.waitForJob(after: generation) {
    generation += 1
    shared.execute(thread: thread)
    shared.finish()
  }
}
