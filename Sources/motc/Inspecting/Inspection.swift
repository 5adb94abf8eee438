import Lowering
import MoTIR

/// What `motc inspect` says of a model; its JSON has the members of `CodingKeys`.
struct Inspection: Encodable {
  /// One tensor of a file.
  struct Parameter: Encodable {
    let name: String
    let shape: [Int]
    let dtype: String
    /// The modalities that share it, joined by `+`; `all` for a tied one.
    let modality: String
    let component: String
    let count: Int
    /// `true` iff training leaves it as it is.
    let frozen: Bool
  }

  /// Parameters of one component, or of one modality.
  struct Total: Encodable {
    let name: String
    let count: Int
  }

  /// Parameters of a component that one token uses.
  struct Active: Encodable {
    let component: String
    let modality: String
    let count: Int
  }

  /// Forward arithmetic for one token.
  struct Cost: Encodable {
    let component: String
    let modality: String
    let flops: Double
  }

  /// The routing of a function, as built and after the passes.
  struct Routing: Encodable {
    /// Counts in one graph.
    struct Counts: Encodable {
      let routes: Int
      let syncs: Int
      let gathers: Int
      let scatters: Int
      let movesAtAttention: Int
      let movesAtOutputs: Int
      let movesElsewhere: Int
    }

    let function: String
    /// Uses of untied parameters.
    let routedOps: Int
    let modalities: Int
    let naive: Counts
    let optimized: Counts
  }

  private enum CodingKeys: CodingKey {
    case name, batch, sequence, context, modalities, parameterCount, matrixParameterCount
    case parameters, byComponent, byModality, activeParameters, addedByModality, addedByExperts
    case flopsPerToken
    case memory, routing, threads
  }

  let name: String
  let batch: Int
  let sequence: Int
  let context: Int?
  let modalities: [String]
  let parameterCount: Int
  /// The parameters in matrices, as papers count them.
  let matrixParameterCount: Int
  let parameters: [Parameter]
  let byComponent: [Total]
  let byModality: [Total]
  let activeParameters: [Active]
  /// The parameters that are there because modalities have weights of their own.
  let addedByModality: [Total]
  /// The parameters that are there because several experts stand where one network could.
  let addedByExperts: [Total]
  let flopsPerToken: [Cost]
  let memory: Memory
  let routing: Routing
  /// How many threads the scratch in `memory` is for.
  let threads: Int

  /// What the parameters are counted by.
  let counts: ParameterCounts
  /// What the arithmetic is counted by; `nil` without a forward function.
  let costs: GraphCosts?

  /// Inspects a model.
  ///
  /// - Throws: `Diagnostics` if it has no function, `CannotRun` if it cannot be compiled.
  init(_ build: Build, threads: Int) throws {
    let module = build.module
    name = module.name
    (batch, sequence, context) = (module.batch, module.sequence, module.context)
    self.threads = threads
    let names = module.modalities.map(\.name)
    modalities = names
    let counts = ParameterCounts(module)
    self.counts = counts
    parameterCount = counts.count()
    matrixParameterCount = counts.matrices
    parameters = module.parameters.flatMap(Self.tensors)
    byComponent = counts.totals { counts.count(of: $0) }
    byModality = counts.users.map { users in
      Total(name: counts.name(of: users, among: names), count: counts.count(usedBy: users))
    }
    activeParameters = names.enumerated().flatMap { index, name in
      counts.totals { counts.active(index, of: $0) }.map {
        Active(component: $0.name, modality: name, count: $0.count)
      }
    }
    addedByModality = counts.totals { counts.addedByModality(of: $0) }
    addedByExperts = counts.totals { counts.addedByExperts(of: $0) }
    costs = Self.costs(of: module)
    flopsPerToken = (costs?.items ?? []).map { item in
      Cost(component: item.component, modality: names[item.modality], flops: item.flops)
    }
    (memory, routing) = try Self.compiled(build, costs, threads: threads)
  }

  // MARK: Parts

  private static func tensors(of parameter: ParameterDeclaration) -> [Parameter] {
    parameter.tensorNames.enumerated().map { index, name in
      let group = parameter.group(ofTensor: index) ?? ["all"]
      return Parameter(
        name: name, shape: parameter.shape, dtype: "F32",
        modality: group.joined(separator: "+"), component: parameter.component,
        count: parameter.shape.reduce(1, *), frozen: parameter.isFrozen)
    }
  }

  /// Returns the arithmetic of the forward pass of `module`, if it has one.
  private static func costs(of module: Module) -> GraphCosts? {
    let forward = module.function("logits") ?? module.function("loss")
    return forward.map { GraphCosts($0.graph, of: module) }
  }

  /// Returns what only the compiler's own work tells.
  private static func compiled(
    _ build: Build, _ costs: GraphCosts?, threads: Int
  ) throws -> (Memory, Routing) {
    let function = try build.functions([defaultFunction(build.module)])
    let optimized = try build.optimize(function)
    return (
      try Memory(
        build, main: optimized, cacheBytesPerToken: costs?.cacheBytesPerToken, threads: threads),
      routing(function[0], optimized[0], build.module)
    )
  }

  private static func routing(
    _ naive: Function, _ optimized: Function, _ module: Module
  ) -> Routing {
    // Gradient ops find their rows grouped already: only the forward ops have a routing of their own.
    let forward = (module.function("loss") ?? naive).graph
    // A layer of experts has one for all that it is made of.
    let plans = forward.nodes.filter { $0.op.groups != nil }.compactMap { forward.plan(of: $0) }
      .filter { forward.type(of: $0).isModalityPlan }
    return Routing(
      function: naive.name, routedOps: Set(plans).count,
      modalities: module.modalities.count, naive: counts(naive.graph),
      optimized: counts(optimized.graph))
  }

  private static func counts(_ graph: Graph) -> Routing.Counts {
    let census = RoutingCensus(graph)
    return Routing.Counts(
      routes: census.routes, syncs: census.syncs, gathers: census.gathers,
      scatters: census.scatters, movesAtAttention: census.movesAtAttention,
      movesAtOutputs: census.movesAtOutputs, movesElsewhere: census.movesElsewhere)
  }
}

extension ParameterCounts {
  /// Returns `count` of each component.
  fileprivate func totals(_ count: (String) -> Int) -> [Inspection.Total] {
    components.map { Inspection.Total(name: $0, count: count($0)) }
  }

  /// Returns what to call the modalities with the numbers `users`, where `names` are those of all.
  func name(of users: [Int], among names: [String]) -> String {
    users.count == names.count ? "all" : users.map { names[$0] }.joined(separator: "+")
  }
}
