import Lowering
import MoTIR
import TestSupport
import Testing

/// Operands of weight gradients, laid out by the kernels that compute them.
@Suite struct OuterPlanningTests {
  @Test(arguments: Precision.allCases)
  func kernelsLayOutWhatWeightGradientsRead(_ precision: Precision) throws {
    let plan = try Planned.make(Planned.small(), precision: precision)
    let gradients = try #require(plan.entries.first).calls.compactMap { call in
      if case .weightGradient(let shape, let laidOut) = call.kernel {
        (shape: shape, laidOut: laidOut)
      } else {
        nil
      }
    }
    #expect(gradients.count == 4)
    // Attention's output and gradients come in sequence order, and are laid out when they are gathered.
    for (shape, laidOut) in gradients {
      #expect(laidOut == Set(0...shape.outputs.count), "\(shape)")
    }
  }

  /// Rows that only weight gradients read are kept in one form.
  @Test func rowsAreNotKeptTwice() throws {
    let plan = try Planned.make(Planned.small())
    let programs = try #require(plan.entries.first).calls.compactMap { call in
      if case .block(let program) = call.kernel { program } else { nil as BlockProgram? }
    }
    let laidOut = programs.flatMap(\.values).filter { $0.outer != nil }
    #expect(laidOut.contains { $0.store == nil })
    #expect(Set(laidOut.compactMap(\.outer?.side)) == [.left, .right])
  }

  @Test func unfusedPlansLayNothingOut() throws {
    let plan = try Planned.make(Planned.small(), fused: false)
    for entry in plan.entries {
      for call in entry.calls {
        if case .block(let program) = call.kernel {
          #expect(program.values.allSatisfy { $0.outer == nil })
        }
      }
    }
  }
}
