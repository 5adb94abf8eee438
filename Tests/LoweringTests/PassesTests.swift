import Lowering
import Testing

@Test func passNamesAreUnique() {
  #expect(Set(Pass.all.map(\.name)).count == Pass.all.count)
}
