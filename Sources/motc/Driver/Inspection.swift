import Lowering
import MoTIR

/// What `motc inspect` says of a model; its JSON has these members.
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
  }

  /// Parameters of one component, or of one modality.
  struct Total: Encodable {
    let name: String
    let count: Int
  }

  /// Forward arithmetic for one token.
  struct Cost: Encodable {
    let component: String
    let modality: String
    let flops: Double
  }

  /// Bytes of one training step, by what they are for.
  struct Memory: Encodable {
    let parameters: Int
    let gradients: Int
    let moments: Int
    let packed: Int
    let arena: Int
    let inputs: Int
    let constants: Int
    /// Working memory of all threads.
    let scratch: Int
    let total: Int
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

  let name: String
  let batch: Int
  let sequence: Int
  let modalities: [String]
  let parameterCount: Int
  let parameters: [Parameter]
  let byComponent: [Total]
  let byModality: [Total]
  let flopsPerToken: [Cost]
  let memory: Memory
  let routing: Routing
  /// How many threads `memory.scratch` is for.
  let threads: Int

  /// Inspects a model.
  ///
  /// - Throws: `Diagnostics` if it has no function, `CannotRun` if it cannot be compiled.
  init(_ build: Build, threads: Int) throws {
    let module = build.module
    name = module.name
    (batch, sequence, self.threads) = (module.batch, module.sequence, threads)
    modalities = module.modalities.map(\.name)
    parameters = module.parameters.flatMap(Self.tensors)
    parameterCount = parameters.reduce(0) { $0 + $1.count }
    byComponent = Self.totals(parameters, by: \.component)
    byModality = Self.totals(parameters, by: \.modality)
    flopsPerToken = Self.costs(of: module)
    let function = try build.functions([defaultFunction(module)])
    let optimized = try build.optimize(function)
    routing = Self.routing(function[0], optimized[0], module)
    memory = try Self.memory(build, optimized, threads: threads)
  }

  // MARK: Parts

  private static func tensors(of parameter: ParameterDeclaration) -> [Parameter] {
    parameter.tensorNames.enumerated().map { index, name in
      let group = parameter.group(ofTensor: index) ?? ["all"]
      return Parameter(
        name: name, shape: parameter.shape, dtype: "F32",
        modality: group.joined(separator: "+"), component: parameter.component,
        count: parameter.shape.reduce(1, *))
    }
  }

  /// Adds up by a property, in order of appearance.
  private static func totals(
    _ parameters: [Parameter], by key: (Parameter) -> String
  ) -> [Total] {
    var names: [String] = []
    var counts: [String: Int] = [:]
    for parameter in parameters {
      let name = key(parameter)
      if counts[name] == nil { names.append(name) }
      counts[name, default: 0] += parameter.count
    }
    return names.map { Total(name: $0, count: counts[$0] ?? 0) }
  }

  private static func costs(of module: Module) -> [Cost] {
    let forward = module.function("logits") ?? module.function("loss")
    guard let graph = forward?.graph else { return [] }
    return GraphCosts(graph, of: module).items.map { item in
      Cost(
        component: item.component, modality: module.modalities[item.modality].name,
        flops: item.flops)
    }
  }

  private static func memory(
    _ build: Build, _ functions: [Function], threads: Int
  ) throws -> Memory {
    let plan = try build.plan(functions)
    let scratch = try build.emit(plan).scratchBytes * threads
    let weights = plan.bytes(of: .parameters)
    let trains = plan.entry("update") != nil
    let parts = [
      weights, trains ? weights : 0, trains ? 2 * weights : 0, plan.bytes(of: .packed),
      plan.bytes(of: .arena), plan.bytes(of: .inputs), plan.bytes(of: .constants), scratch,
    ]
    return Memory(
      parameters: parts[0], gradients: parts[1], moments: parts[2], packed: parts[3],
      arena: parts[4], inputs: parts[5], constants: parts[6], scratch: parts[7],
      total: parts.reduce(0, +))
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
