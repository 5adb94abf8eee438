// motc as a library: describe a model, compile it, train it on one batch. Run: swift run library-example
import Lowering
import MoTIR
import Runtime

let text = Modality("text", vocabulary: 0..<256)
let image = Modality("image", vocabulary: 256..<320)
let model = Model("small", modalities: [text, image], width: 64, batch: 2, sequence: 32) {
  Embedding()
  Repeat(2) {
    Residual {
      RMSNorm()
      Attention(heads: 4, positions: .rotary())
    }
    Residual {
      RMSNorm()
      FeedForward(hidden: 192, activation: .swiGLU)
    }
  }
  RMSNorm()
  Head()
} objectives: {
  NextToken(on: text, image, name: "all")
}
let module = try model.module()
let compiled = try CompiledModel(Compiler().compile(module))
compiled.initialize(seed: 1)
try compiled.setInputs(tokens: (0..<module.tokens).map { $0 * 37 % 320 }, of: module)
for step in 1...20 {
  compiled.run("gradients")
  let loss = compiled.output("loss", of: "gradients")?[0] ?? .nan
  let update = compiled.update(AdamW(rate: 3e-3), step: step)
  print("step \(step): loss \(loss), gradient norm \(update.gradientNorm)")
}
