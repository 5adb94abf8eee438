internal import MoTIR

/// Returns offsets, multiples of a cache line, at which memory that is needed at the same time does not overlap,
/// and the bytes of all: first fit, in the order of first use.
func firstFit(_ wanted: [(life: ClosedRange<Int>, bytes: Int)]) -> (offsets: [Int], total: Int) {
  var offsets = [Int](repeating: 0, count: wanted.count)
  var total = 0
  var placed: [(life: ClosedRange<Int>, bytes: Range<Int>)] = []
  let order = wanted.indices.sorted {
    (wanted[$0].life.lowerBound, $0) < (wanted[$1].life.lowerBound, $1)
  }
  for index in order {
    let (life, bytes) = wanted[index]
    placed.removeAll { $0.life.upperBound < life.lowerBound }
    let size = (bytes + 63) / 64 * 64
    var offset = 0
    for other in placed.sorted(by: { $0.bytes.lowerBound < $1.bytes.lowerBound }) {
      if offset + size <= other.bytes.lowerBound { break }
      offset = max(offset, other.bytes.upperBound)
    }
    offsets[index] = offset
    total = max(total, offset + size)
    placed.append((life, offset..<(offset + size)))
  }
  return (offsets, total)
}

/// Gives every arena buffer that `entry` uses an offset, so that buffers that live at the same time do
/// not overlap.
func assignArena(_ buffers: inout [Buffer], for entry: Entry) {
  var lives: [Int: ClosedRange<Int>] = [:]
  for (time, call) in entry.calls.enumerated() {
    for case .buffer(let id, _) in call.arguments where buffers[id.index].region == .arena {
      lives[id.index] = (lives[id.index]?.lowerBound ?? time)...time
    }
  }
  // Outputs are read after the last call.
  for output in entry.outputs {
    if let life = lives[output.buffer.index] {
      lives[output.buffer.index] = life.lowerBound...entry.calls.count
    }
  }
  let used = lives.sorted { $0.key < $1.key }
  let (offsets, _) = firstFit(used.map { (life: $0.value, bytes: buffers[$0.key].bytes) })
  for ((index, _), offset) in zip(used, offsets) { buffers[index].offset = offset }
}

/// Marks the calls that must wait for all threads: those that touch bytes which a call since the last
/// barrier wrote, or write bytes which one read.
func placeBarriers(_ entry: inout Entry, buffers: [Buffer]) {
  var recent: [(region: Region, bytes: Range<Int>, writes: Bool)] = []
  for index in entry.calls.indices {
    let touched = entry.calls[index].arguments.compactMap { argument in
      guard case .buffer(let id, let access) = argument else {
        return nil as (Region, Range<Int>, Bool)?
      }
      let buffer = buffers[id.index]
      return (buffer.region, buffer.offset..<(buffer.offset + buffer.bytes), access != .read)
    }
    let conflicts = touched.contains { region, bytes, writes in
      recent.contains { $0.region == region && $0.bytes.overlaps(bytes) && ($0.writes || writes) }
    }
    entry.calls[index].waits = conflicts
    if conflicts { recent.removeAll(keepingCapacity: true) }
    recent += touched.map { (region: $0.0, bytes: $0.1, writes: $0.2) }
  }
}
