internal import CLLVM

// A module cut into parts, so that several threads can make its objects: an LLVM context serves one thread.

/// Some functions of a module, to become an object of their own.
package struct ModulePart: Sendable {
  /// The whole module as bitcode; its functions are visible to other objects of the same program.
  private let bitcode: [UInt8]
  /// The functions that this part defines.
  package let functions: Set<String>

  fileprivate init(bitcode: [UInt8], functions: Set<String>) {
    self.bitcode = bitcode
    self.functions = functions
  }

  /// Returns the part as an object file; parts may be made on several threads at once.
  ///
  /// - Throws: `LLVMError` if code generation fails.
  package func object(for cpu: TargetCPU) throws(LLVMError) -> [UInt8] {
    let part = try IRBuilder(bitcode: bitcode)
    part.keep { functions.contains($0) }
    return try part.emit(for: cpu)
  }
}

extension IRBuilder {
  /// Returns the module in `count` parts of about equal work, the same for the same module. Each function
  /// is in one of them, and calls those of other parts by name.
  package func parts(_ count: Int) -> [ModulePart] {
    var shares = [(work: Int, functions: Set<String>)](
      repeating: (0, []), count: Swift.max(1, count))
    let functions = definitions.map { (name: name(of: $0), work: instructions(of: $0)) }
    // The largest first, each to the part with the least work.
    for index in functions.indices.sorted(by: {
      (-functions[$0].work, $0) < (-functions[$1].work, $1)
    }) {
      let least = shares.indices.min { (shares[$0].work, $0) < (shares[$1].work, $1) } ?? 0
      shares[least].work += functions[index].work
      shares[least].functions.insert(functions[index].name)
    }
    let bitcode = visibleBitcode
    return shares.filter { !$0.functions.isEmpty }.map {
      ModulePart(bitcode: bitcode, functions: $0.functions)
    }
  }

  /// Instructions of all functions together: what code generation takes grows with them.
  package var instructionCount: Int { definitions.reduce(0) { $0 + instructions(of: $1) } }

  /// Creates a module, in a context of its own, from `bitcode` that this process wrote.
  fileprivate convenience init(bitcode: [UInt8]) throws(LLVMError) {
    let context: LLVMContextRef = LLVMContextCreate()
    let buffer = bitcode.withUnsafeBytes { bytes in
      LLVMCreateMemoryBufferWithMemoryRangeCopy(
        bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count, "part")
    }
    defer { LLVMDisposeMemoryBuffer(buffer) }
    var module: LLVMModuleRef?
    guard LLVMParseBitcodeInContext2(context, buffer, &module) == 0, let module else {
      LLVMContextDispose(context)
      throw LLVMError("a module cannot read its own bitcode")
    }
    self.init(context: context, module: module)
  }

  /// The module as bitcode in which no function is private: the parts call each other, and nobody else
  /// sees more than before.
  private var visibleBitcode: [UInt8] {
    let inner = definitions.filter { LLVMGetLinkage($0) == LLVMInternalLinkage }
    for function in inner {
      LLVMSetLinkage(function, LLVMExternalLinkage)
      LLVMSetVisibility(function, LLVMHiddenVisibility)
    }
    defer {
      for function in inner {
        LLVMSetVisibility(function, LLVMDefaultVisibility)
        LLVMSetLinkage(function, LLVMInternalLinkage)
      }
    }
    let buffer = LLVMWriteBitcodeToMemoryBuffer(module)
    defer { LLVMDisposeMemoryBuffer(buffer) }
    return Array(
      UnsafeRawBufferPointer(start: LLVMGetBufferStart(buffer), count: LLVMGetBufferSize(buffer)))
  }

  /// Turns functions whose names are not `kept` into declarations, and drops constants that only they read.
  fileprivate func keep(_ kept: (String) -> Bool) {
    for function in definitions where !kept(name(of: function)) {
      let name = name(of: function)
      let declaration = LLVMAddFunction(module, "", LLVMGlobalGetValueType(function))
      LLVMSetVisibility(declaration, LLVMGetVisibility(function))
      LLVMReplaceAllUsesWith(function, declaration)
      LLVMDeleteFunction(function)
      LLVMSetValueName2(declaration, name, name.utf8.count)
    }
    var next = LLVMGetFirstGlobal(module)
    while let global = next {
      next = LLVMGetNextGlobal(global)
      if LLVMGetFirstUse(global) == nil { LLVMDeleteGlobal(global) }
    }
  }

  /// The functions that have a body.
  private var definitions: [LLVMValueRef] {
    var found: [LLVMValueRef] = []
    var next = LLVMGetFirstFunction(module)
    while let function = next {
      if LLVMIsDeclaration(function) == 0 { found.append(function) }
      next = LLVMGetNextFunction(function)
    }
    return found
  }

  private func name(of function: LLVMValueRef) -> String {
    var length = 0
    return LLVMGetValueName2(function, &length).map { String(cString: $0) } ?? ""
  }

  private func instructions(of function: LLVMValueRef) -> Int {
    var count = 0
    var block = LLVMGetFirstBasicBlock(function)
    while let current = block {
      var instruction = LLVMGetFirstInstruction(current)
      while let one = instruction {
        count += 1
        instruction = LLVMGetNextInstruction(one)
      }
      block = LLVMGetNextBasicBlock(current)
    }
    return count
  }
}
