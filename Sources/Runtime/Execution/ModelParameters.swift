package import MoTIR

// Parameters and gradients of a compiled model, as files hold them: one tensor a group.
extension CompiledModel {
  /// Fills the parameters from the tensors of a file, in the module's order, and packs them.
  ///
  /// - Requires: names and shapes are those of `expectedTensors`.
  /// - Throws: `Diagnostic` if elements are not F32, BF16 or F16.
  package func load(_ tensors: [Tensor]) throws(Diagnostic) {
    var rest = tensors[...]
    try forEachTensor(in: .parameters) { name, _, part throws(Diagnostic) in
      guard let tensor = rest.popFirst() else { preconditionFailure("no tensor \(name)") }
      precondition(tensor.name == name, "tensor \(tensor.name) stands where \(name) should")
      try tensor.copyFloats(to: part)
    }
    run("pack")
  }

  /// Gives every parameter its initial values, which depend on the seed and its name alone, and packs them.
  public func initialize(seed: UInt64) {
    let initializer = ParameterInitializer(seed: seed)
    forEachTensor(in: .parameters) { initializer.fill($2, of: $0, $1.initialization) }
    run("pack")
  }

  /// Fills the gradients or moments from the tensors of a file, in the module's order.
  ///
  /// - Requires: names are those of `expectedTensors` with a prefix, shapes the same.
  /// - Throws: `Diagnostic` if elements are not F32, BF16 or F16.
  package func load(_ tensors: [Tensor], into region: Region) throws(Diagnostic) {
    var rest = tensors[...]
    try forEachTensor(in: region) { name, _, part throws(Diagnostic) in
      guard let tensor = rest.popFirst() else { preconditionFailure("no tensor for \(name)") }
      try tensor.copyFloats(to: part)
    }
  }

  /// Calls `body` with every tensor of the parameters, or of what is laid out as they are in `region`, where frozen
  /// ones have none.
  private func forEachTensor<Failure: Error>(
    in region: Region,
    _ body: (_ name: String, ParameterDeclaration, UnsafeMutableBufferPointer<Float>)
      throws(Failure) -> Void
  ) throws(Failure) {
    for placement in plan.parameters
    where region == .parameters || !placement.declaration.isFrozen {
      let values = floats(placement.master, in: region)
      let names = placement.declaration.tensorNames
      let count = values.count / names.count
      for (index, name) in names.enumerated() {
        let part = values[(index * count)..<((index + 1) * count)]
        try body(name, placement.declaration, UnsafeMutableBufferPointer(rebasing: part))
      }
    }
  }

  /// Returns the parameters, or what is laid out as they are in `region`: gradients or moments, with `prefix` before
  /// each parameter's name.
  ///
  /// They are the model's own memory: what they hold changes with it.
  package func tensors(in region: Region, prefix: String = "") -> [Tensor] {
    var tensors: [Tensor] = []
    forEachTensor(in: region) { name, declaration, part in
      tensors.append(
        Tensor(
          name: prefix + name, format: .f32, shape: declaration.shape,
          storage: UnsafeRawBufferPointer(part), owner: owner(of: region)))
    }
    return tensors
  }
}
