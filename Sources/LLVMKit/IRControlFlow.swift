internal import CLLVM

// Structured control flow: loops and branches as closures, so that emission reads like the code it emits.
extension IRBuilder {
  /// Emits `for i in stride(from: start, to: end, by: step) { body(i) }` for signed i64.
  package func loop(
    from start: IRValue, to end: IRValue, by step: Int = 1, _ body: (IRValue) -> Void
  ) {
    _ = loop(from: start, to: end, by: step, carrying: []) { index, _ in
      body(index)
      return []
    }
  }

  /// Emits a loop whose body hands `carried` values on to the next round; returns the last ones.
  package func loop(
    from start: IRValue, to end: IRValue, by step: Int = 1, carrying initial: [IRValue],
    _ body: (IRValue, [IRValue]) -> [IRValue]
  ) -> [IRValue] {
    loop(from: start, to: end, carrying: initial, then: { add($0, int(step, $0.type)) }, body)
  }

  /// Emits `var i = start; while i < end { body(i); i = next() }`.
  package func loop(
    from start: IRValue, to end: IRValue, then next: () -> IRValue, _ body: (IRValue) -> Void
  ) {
    let uncarried = { (index: IRValue, _: [IRValue]) -> [IRValue] in
      body(index)
      return []
    }
    _ = loop(from: start, to: end, carrying: [], then: { _ in next() }, uncarried)
  }

  private func loop(
    from start: IRValue, to end: IRValue, carrying initial: [IRValue],
    then following: (IRValue) -> IRValue, _ body: (IRValue, [IRValue]) -> [IRValue]
  ) -> [IRValue] {
    let before = insertionBlock
    let header = appendBlock("loop")
    let inside = appendBlock("body")
    let after = appendBlock("done")
    LLVMBuildBr(builder, header)
    moveTo(header)
    let index = phi(start, from: before)
    let carried = initial.map { phi($0, from: before) }
    LLVMBuildCondBr(builder, compare(.less, index, end).ref, inside, after)
    moveTo(inside)
    let next = body(index, carried)
    let nextIndex = following(index)
    let latch = insertionBlock
    addIncoming(index, nextIndex, from: latch)
    for (phi, value) in zip(carried, next) { addIncoming(phi, value, from: latch) }
    LLVMBuildBr(builder, header)
    moveTo(after)
    return carried
  }

  /// Emits `if condition { then() }`.
  package func when(_ condition: IRValue, _ then: () -> Void) {
    let inside = appendBlock("then")
    let after = appendBlock("end")
    LLVMBuildCondBr(builder, condition.ref, inside, after)
    moveTo(inside)
    then()
    LLVMBuildBr(builder, after)
    moveTo(after)
  }

  /// Emits `condition ? then() : otherwise()`; both branches return the same number of values.
  package func choose(
    _ condition: IRValue, _ then: () -> [IRValue], otherwise: () -> [IRValue]
  ) -> [IRValue] {
    let (first, second, after) = (appendBlock("then"), appendBlock("else"), appendBlock("end"))
    LLVMBuildCondBr(builder, condition.ref, first, second)
    moveTo(first)
    let a = then()
    let endOfFirst = insertionBlock
    LLVMBuildBr(builder, after)
    moveTo(second)
    let b = otherwise()
    let endOfSecond = insertionBlock
    LLVMBuildBr(builder, after)
    moveTo(after)
    return zip(a, b).map { x, y in
      let value = phi(x, from: endOfFirst)
      addIncoming(value, y, from: endOfSecond)
      return value
    }
  }

  /// Emits `repeat { condition = body() } while condition`.
  package func repeatWhile(_ body: () -> IRValue) {
    let inside = appendBlock("repeat")
    let after = appendBlock("done")
    LLVMBuildBr(builder, inside)
    moveTo(inside)
    LLVMBuildCondBr(builder, body().ref, inside, after)
    moveTo(after)
  }

  private func phi(_ value: IRValue, from block: LLVMBasicBlockRef) -> IRValue {
    let phi = IRValue(LLVMBuildPhi(builder, value.type.ref, ""))
    addIncoming(phi, value, from: block)
    return phi
  }

  private func addIncoming(_ phi: IRValue, _ value: IRValue, from block: LLVMBasicBlockRef) {
    var values: [LLVMValueRef?] = [value.ref]
    var blocks: [LLVMBasicBlockRef?] = [block]
    LLVMAddIncoming(phi.ref, &values, &blocks, 1)
  }
}
