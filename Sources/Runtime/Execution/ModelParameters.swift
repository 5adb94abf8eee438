package import MoTIR

// Parameters and gradients of a compiled model, as files hold them: one tensor a group.
extension CompiledModel {
  /// Fills the parameters from the tensors of a file, in the module's order, and packs them.
  ///
  /// - Requires: names and shapes are those of `expectedTensors`.
  /// - Throws: `Diagnostic` if elements are not F32, BF16 or F16.
  package func load(_ tensors: [Tensor]) throws(Diagnostic) {
    var rest = tensors[...]
    try fillParameters { name, _, part throws(Diagnostic) in
      guard let tensor = rest.popFirst() else { preconditionFailure("no tensor \(name)") }
      precondition(tensor.name == name, "tensor \(tensor.name) stands where \(name) should")
      try tensor.copyFloats(to: part)
    }
  }

  /// Gives every parameter its initial values, which depend on the seed and its name alone, and packs them.
  public func initialize(seed: UInt64) {
    let initializer = ParameterInitializer(seed: seed)
    fillParameters { initializer.fill($2, of: $0, $1.initialization) }
  }

  /// Has `fill` write the values of every tensor, a group of a parameter, and packs them.
  private func fillParameters<Failure: Error>(
    _ fill: (_ name: String, ParameterDeclaration, UnsafeMutableBufferPointer<Float>)
      throws(Failure) -> Void
  ) throws(Failure) {
    for placement in plan.parameters {
      let master = floats(placement.master)
      let names = placement.declaration.tensorNames
      let count = master.count / names.count
      for (index, name) in names.enumerated() {
        let part = master[(index * count)..<((index + 1) * count)]
        try fill(name, placement.declaration, UnsafeMutableBufferPointer(rebasing: part))
      }
    }
    run("pack")
  }

  /// Returns the parameters as they are now.
  ///
  /// - Throws: `Diagnostic` if memory is short.
  package func parameterTensors(of module: Module) throws -> [Tensor] {
    try plan.parameters.flatMap { placement in
      try module.tensors(of: [grouped(placement.declaration.name, placement.master)])
    }
  }

  /// Returns the gradients that the last run left, each called `grad.` and its parameter's name.
  ///
  /// - Throws: `Diagnostic` if memory is short.
  package func gradientTensors(of module: Module) throws -> [Tensor] {
    try plan.parameters.flatMap { placement in
      try module.tensors(
        of: [grouped(placement.declaration.name, placement.gradient)],
        prefix: Graph.Output.gradientPrefix)
    }
  }

  private func grouped(_ name: String, _ buffer: BufferID) -> GroupedParameter {
    GroupedParameter(name: name, values: Array(floats(buffer)))
  }
}
