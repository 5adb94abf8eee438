/// A plan whose buffers stand on pages of their own, with pages around them that nobody may touch.
///
/// It computes the same as the plan it was made from: offsets alone differ, and arena buffers share no bytes.
package struct GuardedPlan: Sendable {
  /// The side on which a buffer, padded to whole cache lines, touches a guard.
  package enum Edge: String, CaseIterable, Sendable {
    case start
    case end
  }

  /// The plan.
  package private(set) var plan: KernelPlan
  /// The guards of each region in order, in bytes from its start; the first begins it, the last ends it.
  package private(set) var guards: [Region: [Range<Int>]] = [:]
  private let edge: Edge
  private let page: Int

  /// Places the buffers of `plan` anew.
  ///
  /// - Parameters:
  ///   - page: the bytes that the system protects at once.
  ///   - updates: whether the entry `update` stays. Its norm walks all gradients as one array, so that
  ///     parameters, gradients and moments keep their places then.
  package init(_ plan: KernelPlan, edge: Edge, page: Int, updates: Bool) {
    self.plan = plan
    self.edge = edge
    self.page = page
    if !updates { self.plan.removeUpdate() }
    for region in [Region.arena, .packed, .inputs, .caches, .constants] { spread(region) }
    guard !updates else { return }
    spread(.parameters)
    for parameter in plan.parameters {
      guard let gradient = parameter.gradient else { continue }
      self.plan.buffers[gradient.index].offset = self.plan[parameter.master].offset
    }
    guards[.gradients] = guards[.parameters]
  }

  /// Gives every buffer of `region` pages of its own.
  ///
  /// - Requires: no two buffers of the region are views of the same bytes.
  private mutating func spread(_ region: Region) {
    var next = page
    var guards = [0..<page]
    for index in plan.buffers.indices where plan.buffers[index].region == region {
      let bytes = max(plan.buffers[index].bytes, 1)
      let pages = (bytes + page - 1) / page * page
      plan.buffers[index].offset = edge == .start ? next : next + pages - (bytes + 63) / 64 * 64
      guards.append(next + pages..<next + pages + page)
      next += pages + page
    }
    self.guards[region] = guards
  }
}

extension KernelPlan {
  /// Removes the entry `update`, and the buffers that it alone names: they are the last.
  fileprivate mutating func removeUpdate() {
    entries.removeAll { $0.name == "update" }
    var named = Set(constants.map(\.buffer))
    for parameter in parameters {
      named.formUnion([parameter.master, parameter.gradient].compactMap { $0 })
      named.formUnion([parameter.forward, parameter.backward].compactMap { $0 })
    }
    for entry in entries {
      named.formUnion((entry.inputs + entry.outputs).map(\.buffer))
      for call in entry.calls { named.formUnion(call.accesses.map(\.buffer)) }
    }
    while !buffers.isEmpty, !named.contains(BufferID(buffers.count - 1)) { buffers.removeLast() }
  }
}
