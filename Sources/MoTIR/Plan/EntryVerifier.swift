// The invariants of an entry's memory, found anew from its calls:
// 1. An arena buffer is written before it is read: nothing survives in the arena between runs.
// 2. Arena buffers that live at the same time do not share bytes. A buffer lives from the call that
//    writes it to the last that reads it, or to the end if it is an output.
// 3. A call does not write bytes that it also touches through another argument.
// 4. Two calls that touch the same bytes, one of them writing, have a barrier between them.

extension Entry {
  /// Returns how the entry breaks the rules of memory in `plan`.
  func memoryViolations(_ plan: KernelPlan) -> [String] {
    unwrittenReads(plan) + sharedBytes(plan) + missingBarriers(plan)
  }

  private func unwrittenReads(_ plan: KernelPlan) -> [String] {
    var written: Set<BufferID> = []
    var found: [String] = []
    for (number, call) in calls.enumerated() {
      let arena = call.accesses.filter { plan[$0.buffer].region == .arena }
      for (buffer, access) in arena where access != .write && !written.contains(buffer) {
        found.append("call \(number): \(quoted(plan[buffer].label)) is read before it is written")
      }
      written.formUnion(arena.filter { $0.access != .read }.map(\.buffer))
    }
    return found
  }

  /// Walks the calls backwards with the set of buffers that a later call reads.
  private func sharedBytes(_ plan: KernelPlan) -> [String] {
    var found: [String] = []
    var live = LiveBytes()
    func enter(_ buffer: BufferID, at place: String) {
      guard let other = live.insert(buffer, plan[buffer].range) else { return }
      found.append(
        "\(place): \(quoted(plan[buffer].label)) and \(quoted(plan[other].label)) live in the same "
          + "bytes")
    }
    for output in outputs where plan[output.buffer].region == .arena {
      enter(output.buffer, at: "output \(quoted(output.name))")
    }
    for (number, call) in calls.enumerated().reversed() {
      let arena = call.accesses.filter { plan[$0.buffer].region == .arena }
      for (buffer, _) in arena { enter(buffer, at: "call \(number)") }
      for (buffer, access) in arena where access == .write { live.remove(buffer) }
    }
    return found
  }

  private func missingBarriers(_ plan: KernelPlan) -> [String] {
    var found: [String] = []
    var recent: [Touch] = []
    for (number, call) in calls.enumerated() {
      if call.waits { recent.removeAll(keepingCapacity: true) }
      let own = call.accesses.map { Touch(plan[$0.buffer], $0.access, call: number) }
      for (index, touch) in own.enumerated() {
        if let other = recent.first(where: touch.conflicts) {
          found.append("call \(number) must wait for call \(other.call)")
        }
        if own[..<index].contains(where: touch.conflicts) {
          found.append("call \(number): two arguments share bytes that it writes")
        }
      }
      recent += own
    }
    return found
  }
}

/// A call's use of some bytes.
private struct Touch {
  let region: Region
  let bytes: Range<Int>
  let writes: Bool
  let call: Int

  init(_ buffer: Buffer, _ access: Access, call: Int) {
    region = buffer.region
    bytes = buffer.range
    writes = access != .read
    self.call = call
  }

  /// Returns `true` iff the two uses must not happen at the same time.
  func conflicts(_ other: Touch) -> Bool {
    region == other.region && (writes || other.writes) && bytes.overlaps(other.bytes)
  }
}

/// Ranges of bytes that are in use, sorted, with who uses them.
private struct LiveBytes {
  private var ranges: [(bytes: Range<Int>, buffer: BufferID)] = []
  private var members: Set<BufferID> = []

  /// Adds a buffer unless it is in already; returns a buffer that shares bytes with it.
  mutating func insert(_ buffer: BufferID, _ bytes: Range<Int>) -> BufferID? {
    guard !bytes.isEmpty, members.insert(buffer).inserted else { return nil }
    let position = ranges.partitioningIndex { $0.bytes.lowerBound >= bytes.lowerBound }
    let neighbours = ranges[max(0, position - 1)..<min(ranges.count, position + 1)]
    let other = neighbours.first { $0.bytes.overlaps(bytes) }?.buffer
    ranges.insert((bytes, buffer), at: position)
    return other
  }

  mutating func remove(_ buffer: BufferID) {
    guard members.remove(buffer) != nil else { return }
    ranges.removeAll { $0.buffer == buffer }
  }
}

extension Array {
  /// Returns the first position whose element `belongsInSecondPart`, in an array sorted by that.
  fileprivate func partitioningIndex(_ belongsInSecondPart: (Element) -> Bool) -> Int {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if belongsInSecondPart(self[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
