internal import MoTIR

/// Collects a kernel plan's buffers and parameters while functions are planned one after another.
struct PlanBuilder {
  let module: Module
  private(set) var plan: KernelPlan
  private var used: [Region: Int] = [:]
  private var placement: [String: Int] = [:]
  private var tables: [ConstantTable: BufferID] = [:]
  private var shared: [Shared: BufferID] = [:]

  /// An input or a cache.
  private struct Shared: Hashable {
    let name: String
    let bytes: Int
  }

  /// Creates the plan of a module with all its parameters placed.
  init(module: Module, tile: TileShape, operands: OperandFormat, backend: MatmulBackend) {
    self.module = module
    plan = KernelPlan(name: module.name, tile: tile, operands: operands, backend: backend)
    // Frozen ones come last, so that gradients and moments end before them.
    let places = module.parameters.filter { !$0.isFrozen } + module.parameters.filter(\.isFrozen)
    var placed: [String: ParameterPlacement] = [:]
    for declaration in places {
      let bytes = declaration.type.bytes
      let master = add(.parameters, bytes: bytes, label: declaration.name)
      let gradient =
        declaration.isFrozen
        ? nil : add(.gradients, bytes: bytes, label: "grad.\(declaration.name)")
      placed[declaration.name] = ParameterPlacement(
        declaration: declaration, master: master, gradient: gradient)
    }
    plan.parameters = module.parameters.compactMap { placed[$0.name] }
    for (index, parameter) in plan.parameters.enumerated() {
      placement[parameter.declaration.name] = index
    }
  }

  /// Adds a buffer at the end of `region`, on a cache line of its own.
  mutating func add(_ region: Region, bytes: Int, label: String) -> BufferID {
    let offset = used[region, default: 0]
    used[region] = (offset + bytes + 63) / 64 * 64
    plan.buffers.append(Buffer(region: region, offset: offset, bytes: bytes, label: label))
    return BufferID(plan.buffers.count - 1)
  }

  /// Returns the buffer in `region` of the input or cache `name`, which all functions share that want as many bytes.
  mutating func shared(_ region: Region, _ name: String, bytes: Int) -> BufferID {
    let key = Shared(name: name, bytes: bytes)
    if let buffer = shared[key] { return buffer }
    let buffer = add(region, bytes: bytes, label: name)
    shared[key] = buffer
    return buffer
  }

  /// Adds a second name for a piece of a region.
  mutating func alias(_ region: Region, offset: Int, bytes: Int, label: String) -> BufferID {
    plan.buffers.append(Buffer(region: region, offset: offset, bytes: bytes, label: label))
    return BufferID(plan.buffers.count - 1)
  }

  /// Adds an arena buffer whose place is decided later.
  mutating func addTemporary(bytes: Int, label: String) -> BufferID {
    alias(.arena, offset: 0, bytes: bytes, label: label)
  }

  /// Returns where parameter `name` is.
  func parameter(_ name: String) -> ParameterPlacement {
    guard let index = placement[name] else { preconditionFailure("no parameter \(name)") }
    return plan.parameters[index]
  }

  /// Returns the form of parameter `name` that `linear` reads: panels `[N / columns][D][columns]`.
  mutating func forwardForm(_ name: String) -> BufferID {
    guard let index = placement[name] else { preconditionFailure("no parameter \(name)") }
    if let form = plan.parameters[index].forward { return form }
    let matrix = plan.parameters[index].declaration
    let form = addForm(matrix, wide: matrix.shape[0], deep: matrix.shape[1], "forward")
    plan.parameters[index].forward = form
    return form
  }

  /// Returns the form that `linear.input_gradient` reads: panels `[D / columns][N][columns]`.
  mutating func backwardForm(_ name: String) -> BufferID {
    guard let index = placement[name] else { preconditionFailure("no parameter \(name)") }
    if let form = plan.parameters[index].backward { return form }
    let matrix = plan.parameters[index].declaration
    let form = addForm(matrix, wide: matrix.shape[1], deep: matrix.shape[0], "backward")
    plan.parameters[index].backward = form
    return form
  }

  private mutating func addForm(
    _ matrix: ParameterDeclaration, wide: Int, deep: Int, _ kind: String
  ) -> BufferID {
    let bytes = 4 * matrix.tensorCount * plan.packedUnits(wide: wide, deep: deep)
    return add(.packed, bytes: bytes, label: "\(matrix.name) \(kind)")
  }

  /// Returns the place of a table.
  mutating func constant(_ table: ConstantTable, bytes: Int) -> BufferID {
    if let buffer = tables[table] { return buffer }
    let buffer = add(.constants, bytes: bytes, label: "\(table)")
    tables[table] = buffer
    plan.constants.append(.init(table: table, buffer: buffer))
    return buffer
  }

  /// Adds a finished entry: gives its temporaries their places and its calls their barriers.
  mutating func finish(_ entry: Entry) {
    var entry = entry
    assignArena(&plan.buffers, for: entry)
    placeBarriers(&entry, buffers: plan.buffers)
    plan.entries.append(entry)
  }
}
