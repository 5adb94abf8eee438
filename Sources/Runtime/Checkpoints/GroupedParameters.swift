package import MoTIR

// Files hold one tensor a group, `[out, in]`; graphs take one value a parameter, `[G, out, in]`.

/// The numbers of a graph's parameter: those of its groups, one after another.
package struct GroupedParameter: Hashable, Sendable {
  /// The parameter's name in the graph, without a group.
  package let name: String
  /// The numbers. [G, …shape], or [shape] of a parameter of all tokens.
  package let values: [Float]

  /// Creates the parameter `name` with these numbers.
  package init(name: String, values: [Float]) {
    self.name = name
    self.values = values
  }
}

extension ParameterDeclaration {
  /// Its tensors in a file.
  fileprivate var tensors: [(name: String, shape: [Int])] {
    tensorNames.map { (name: $0, shape: shape) }
  }
}

extension Module {
  /// The tensors that a file with this module's weights must hold, in order.
  package var expectedTensors: [(name: String, shape: [Int])] { parameters.flatMap(\.tensors) }

  /// The tensors among them that training changes, in order: those that have gradients and moments.
  package var trainedTensors: [(name: String, shape: [Int])] {
    parameters.filter { !$0.isFrozen }.flatMap(\.tensors)
  }

  /// Returns the parameters that `tensors` hold, which are those of `expectedTensors`, in order.
  ///
  /// - Requires: names and shapes are as expected.
  /// - Throws: `Diagnostics` if elements are not F32, BF16 or F16.
  package func grouped(_ tensors: [Tensor]) throws(Diagnostics) -> [GroupedParameter] {
    precondition(tensors.map(\.name) == expectedTensors.map(\.name), "tensors are not the module's")
    var rest = tensors[...]
    var result: [GroupedParameter] = []
    for parameter in parameters {
      var values: [Float] = []
      values.reserveCapacity(parameter.type.elementCount)
      for _ in parameter.tensorNames {
        guard let tensor = rest.popFirst() else { break }
        do throws(Diagnostic) { values += try tensor.floats() } catch { throw Diagnostics([error]) }
      }
      result.append(GroupedParameter(name: parameter.name, values: values))
    }
    return result
  }

  /// Returns the tensors that a file holds for `parameters`, or for their gradients or moments, with
  /// `prefix` before each name.
  ///
  /// - Requires: each is a parameter of the module and has its size.
  /// - Throws: `Diagnostic` if memory is short.
  package func tensors(of parameters: [GroupedParameter], prefix: String = "") throws -> [Tensor] {
    try parameters.flatMap { grouped -> [Tensor] in
      guard let parameter = parameter(grouped.name) else {
        preconditionFailure("the module has no parameter \(grouped.name)")
      }
      let count = parameter.shape.reduce(1, *)
      precondition(grouped.values.count == parameter.type.elementCount, "\(grouped.name): size")
      return try parameter.tensorNames.enumerated().map { index, name in
        try Tensor(
          name: prefix + name, shape: parameter.shape,
          floats: Array(grouped.values[(index * count)..<((index + 1) * count)]))
      }
    }
  }
}
