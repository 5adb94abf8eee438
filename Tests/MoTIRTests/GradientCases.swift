import MoTIR
import TestSupport

extension GradientFixture {
  /// Every op that has a derivative, in all its forms.
  static let cases =
    routing + [nil, groups].flatMap { linear($0) + norms($0) + channels($0) } + rotary + attention
    + unary + binary + losses + experts

  private static func word(_ groups: Groups?) -> String { groups == nil ? "tied" : "routed" }

  private static let routing = [
    Case("gather") { t throws(TypingError) in try [t.b.add(.gather, [t.rows(3), t.b.nextPlan()])] },
    Case("scatter") { t throws(TypingError) in
      try [t.b.add(.scatter, [t.rows(3, groups), t.b.nextPlan()])]
    },
    Case("sync") { t throws(TypingError) in
      let plan = try t.b.add(.sync(segment: 1), [t.b.nextPlan()])
      return try [t.b.add(.gather, [t.rows(3), plan])]
    },
  ]

  private static func linear(_ groups: Groups?) -> [Case] {
    [
      Case("linear, \(word(groups))") { t throws(TypingError) in
        try t.apply(.linear(groups), [t.rows(5, groups), t.weight([3, 5], groups)])
      },
      Case("linear of three weights, \(word(groups))") { t throws(TypingError) in
        try t.apply(
          .linear(groups),
          [
            t.rows(5, groups), t.weight([3, 5], groups), t.weight([1, 5], groups),
            t.weight([4, 5], groups),
          ])
      },
      Case("linear with an unread result and a shared weight, \(word(groups))") {
        t throws(TypingError) in
        let (x, w) = (try t.rows(5, groups), try t.weight([3, 5], groups))
        let results = try t.apply(.linear(groups), [x, w, t.weight([2, 5], groups), w])
        return [results[0], results[2]]
      },
    ]
  }

  private static func norms(_ groups: Groups?) -> [Case] {
    Norm.Kind.allCases.flatMap { kind in
      [1, 3].flatMap { heads in
        let gained = Case("\(kind.rawValue), \(heads) heads, \(word(groups))") {
          t throws(TypingError) in
          let norm = Norm(kind, heads: heads, epsilon: 0.1)
          return try t.apply(
            .norm(norm, groups), [t.rows(12, groups), t.weight([12 / heads], groups)])
        }
        let bare = Case("\(kind.rawValue) without gain, \(heads) heads") { t throws(TypingError) in
          let norm = Norm(kind, heads: heads, hasGain: false)
          return try t.apply(.norm(norm, nil), [t.rows(12, groups)])
        }
        return groups == nil ? [gained, bare] : [gained]
      }
    }
  }

  private static func channels(_ groups: Groups?) -> [Case] {
    [6, 2].flatMap { channels in
      [
        Case("channel_multiply, \(channels) of 6, \(word(groups))") { t throws(TypingError) in
          try t.apply(.channelMultiply(groups), [t.rows(6, groups), t.weight([channels], groups)])
        },
        Case("channel_add, \(channels) of 6, \(word(groups))") { t throws(TypingError) in
          try t.apply(.channelAdd(groups), [t.rows(6, groups), t.weight([channels], groups)])
        },
        Case("channel_add behind a linear, \(channels) of 6, \(word(groups))") {
          t throws(TypingError) in
          let y = try t.apply(.linear(groups), [t.rows(5, groups), t.weight([6, 5], groups)])
          return try t.apply(.channelAdd(groups), [y[0], t.weight([channels], groups)])
        },
        Case("column_sum, \(channels) of 6, \(word(groups))") { t throws(TypingError) in
          try t.apply(.columnSum(groups, parts: 6 / channels), [t.rows(6, groups)])
        },
      ]
    }
  }

  private static let rotary = Rotary.Layout.allCases.flatMap { layout in
    [false, true].map { inverse in
      Case("rotary, \(layout.rawValue), inverse \(inverse)") { t throws(TypingError) in
        let rotary = Rotary(heads: 2, base: 100, layout: layout, inverse: inverse)
        return try [t.b.add(.rotary(rotary), [t.rows(12), t.b.input("positions")])]
      }
    }
  }

  private static let attention = [(1, 1), (4, 4), (4, 2), (3, 1)].flatMap { heads, shared in
    [(true, false, false), (false, false, false), (true, true, true), (false, true, false)].map {
      causal, documents, segments in
      Case("attention, \(heads)/\(shared) heads, \(causal), \(documents), \(segments)") {
        t throws(TypingError) in
        let attention = Op.Attention(
          batch: 2, heads: heads, keyValueHeads: shared, causal: causal, hasDocuments: documents,
          hasSegments: segments)
        var operands = try [t.rows(heads * 3), t.rows(shared * 3), t.rows(shared * 3)]
        if documents { operands.append(try t.b.input("documents")) }
        if segments { operands.append(try t.b.input("segments")) }
        return try [t.b.append(.attention(attention), operands)[0]]
      }
    }
  }

  private static let unary = Op.Unary.allCases.map { function in
    Case(function.rawValue) { t throws(TypingError) in
      let x = try t.rows(3)
      let needsPositive = [.logarithm, .squareRoot, .reciprocalSquareRoot].contains(function)
      // The value is read beside f(x), so that step has some gradient to compare.
      return try [t.b.unary(function, needsPositive ? t.positive(x) : x), x]
    }
  }

  private static let binary = Op.Binary.allCases.flatMap { function in
    [
      Case("\(function.rawValue) of rows") { t throws(TypingError) in
        try [t.b.binary(function, t.rows(3), t.positive(t.rows(3)))]
      },
      Case("\(function.rawValue) of rows and one number a row") { t throws(TypingError) in
        try [t.b.binary(function, t.rows(3), t.positive(t.rows(1)))]
      },
      Case("\(function.rawValue) of rows and a scalar") { t throws(TypingError) in
        try [t.b.binary(function, t.rows(3), t.positive(t.weight([])))]
      },
      Case("\(function.rawValue) of tensors") { t throws(TypingError) in
        try [t.b.binary(function, t.weight([3, 2]), t.positive(t.weight([3, 2])))]
      },
      Case("\(function.rawValue) of a value and itself") { t throws(TypingError) in
        let x = try t.positive(t.rows(3))
        return try [t.b.binary(function, x, x), x]
      },
    ]
  }

  private static let experts = [ExpertRouting.Rule.capacity(1), .top(2)].flatMap { rule in
    [
      Case("dispatch and combine, \(rule)") { t throws(TypingError) in
        let plan = try t.expertPlan(rule, experts: 3)
        let rows = try t.b.add(.dispatch, [t.rows(4, groups), plan])
        return try [t.b.add(.combine, [t.b.unary(.silu, rows), plan])]
      },
      Case("gates, \(rule)") { t throws(TypingError) in
        let plan = try t.expertPlan(rule, experts: 3)
        let gates = try t.b.add(.gates, [t.rows(3, groups), plan])
        let rows = try t.b.add(.dispatch, [t.rows(4, groups), plan])
        return try [t.b.add(.combine, [t.b.binary(.multiply, rows, gates), plan])]
      },
      Case("linear of experts, \(rule)") { t throws(TypingError) in
        let plan = try t.expertPlan(rule, experts: 2)
        let rows = try t.b.add(.dispatch, [t.rows(4, groups), plan])
        let weight = try t.b.parameter("expert.weight", [3, 4], groups, experts: 2)
        let map = Groups(Array(0..<6))
        let outputs = try t.b.append(.linear(map), [rows, weight, plan])
        return try [t.b.add(.combine, [outputs[0], plan])]
      },
      Case("balance, \(rule)") { t throws(TypingError) in
        let plan = try t.expertPlan(rule, experts: 3)
        let weights = try t.b.append(.balance(hasCount: false), [plan])
        let probabilities = try t.rows(3, groups)
        let mean = try t.b.binary(.multiply, t.rows(1, groups), weights[1])
        return try [t.b.binary(.multiply, probabilities, weights[0]), mean]
      },
    ]
  }

  private static let losses = [
    Case("log_sum_exp") { t throws(TypingError) in
      try [t.b.add(.logSumExponentials, [t.rows(5)])]
    },
    Case("row_sum") { t throws(TypingError) in try [t.b.add(.rowSum, [t.rows(3)])] },
    Case("sum of rows") { t throws(TypingError) in try [t.b.add(.sum, [t.rows(3)])] },
    Case("sum of a tensor") { t throws(TypingError) in try [t.b.add(.sum, [t.weight([2, 3])])] },
    Case("embed") { t throws(TypingError) in
      try [t.b.add(.embed, [t.b.input("tokens"), t.weight([5, 3])])]
    },
    Case("embed in grouped order") { t throws(TypingError) in
      try [t.b.add(.embed, [t.b.input("tokens", by: t.b.nextPlan()), t.weight([5, 3])])]
    },
    Case("cross_entropy") { t throws(TypingError) in
      try [t.b.add(.crossEntropy, [t.rows(5), t.b.input("targets")])]
    },
    Case("cross_entropy in grouped order") { t throws(TypingError) in
      let targets = try t.b.input("targets", by: t.b.nextPlan())
      return try [t.b.add(.crossEntropy, [t.rows(5, groups), targets])]
    },
    Case("head_loss") { t throws(TypingError) in
      try [t.b.add(.headLoss, [t.rows(3), t.weight([5, 3]), t.b.input("targets")])]
    },
    Case("a mean by token_weights") { t throws(TypingError) in
      let targets = try t.b.input("targets")
      let losses = try t.b.add(.crossEntropy, [t.rows(5), targets])
      return try [t.b.mean(losses, targets, over: [0..<1, 3..<5])]
    },
  ]
}
