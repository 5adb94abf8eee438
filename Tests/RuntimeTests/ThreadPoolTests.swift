import Foundation
import Runtime
import Synchronization
import Testing

@Suite struct ThreadPoolTests {
  @Test(arguments: 1...4) func everyThreadRunsEveryJobOnce(threads: Int) {
    let pool = ThreadPool(threads: threads)
    #expect(pool.threads == threads)
    let total = Atomic<Int>(0)
    for job in 0..<2_000 {
      let seen = Atomic<Int>(0)
      pool.run { thread, count in
        seen.add(1 << (8 * thread), ordering: .relaxed)
        total.add(count, ordering: .relaxed)
      }
      let expected = (0..<threads).reduce(0) { $0 + 1 << (8 * $1) }
      #expect(seen.load(ordering: .relaxed) == expected, "job \(job)")
    }
    #expect(total.load(ordering: .relaxed) == 2_000 * threads * threads)
  }

  @Test func sleepingWorkersWake() {
    let pool = ThreadPool(threads: 3)
    for pause in [0, 50, 500, 5_000] as [UInt32] {
      usleep(pause)
      let seen = Atomic<Int>(0)
      pool.run { thread, _ in
        if thread == 1 { usleep(pause) }
        seen.add(1, ordering: .relaxed)
      }
      #expect(seen.load(ordering: .relaxed) == 3)
    }
  }

  @Test func callersTakeTurns() {
    let pool = ThreadPool(threads: 2)
    let total = Atomic<Int>(0)
    DispatchQueue.concurrentPerform(iterations: 4) { _ in
      for _ in 0..<200 { pool.run { _, _ in total.add(1, ordering: .relaxed) } }
    }
    #expect(total.load(ordering: .relaxed) == 4 * 200 * 2)
  }

  @Test func poolsComeAndGo() {
    for round in 0..<50 {
      let pool = ThreadPool(threads: 3)
      if round.isMultiple(of: 2) { pool.run { _, _ in } }
    }
  }

  @Test func sizeFollowsControlGroups() {
    func budget(_ files: [String: String]) -> ThreadBudget {
      ThreadBudget(cores: 8) { files[$0] }
    }
    let status = "Name:\tx\nCpus_allowed_list:\t0-3,6\n"
    #expect(budget([:]).threads == 8)
    #expect(budget(["/proc/self/status": status]).threads == 5)
    #expect(budget(["/proc/self/status": "Cpus_allowed_list:\t7-2"]).threads == 8)
    let version2 = [
      "/proc/self/cgroup": "0::/a/b\n", "/sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
      "/sys/fs/cgroup/a/cpu.max": "250000 100000\n",
    ]
    #expect(budget(version2).threads == 3)
    #expect(budget(version2).explanation.contains("/sys/fs/cgroup/a/cpu.max"))
    let version1 = [
      "/proc/self/cgroup": "5:cpu,cpuacct:/x\n3:memory:/x\n",
      "/sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us": "50000\n",
      "/sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us": "100000\n",
    ]
    #expect(budget(version1).threads == 1)
    let garbage = ["/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/cpu.max": "1e999 0"]
    #expect(budget(garbage).threads == 8)
    #expect(ThreadBudget.current.threads >= 1)
  }
}
