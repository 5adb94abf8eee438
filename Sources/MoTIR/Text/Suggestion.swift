/// Returns "did you mean …?" with the candidate nearest to `word`, or `nil` if none is near.
///
/// Long words and long lists are not searched, so that an odd text costs no time here.
package func suggestion(for word: String, among candidates: [String]) -> String? {
  guard word.utf8.count <= 64 else { return nil }
  var best: (name: String, distance: Int)?
  for candidate in candidates.prefix(4_096) where candidate.utf8.count <= 64 {
    let distance = editDistance(Array(word.utf8), Array(candidate.utf8))
    if distance < best?.distance ?? (2 + word.utf8.count / 4) { best = (candidate, distance) }
  }
  return best.map { "did you mean `\($0.name)`?" }
}

/// Returns how many bytes must be inserted, deleted or replaced to turn `a` into `b`.
private func editDistance(_ a: [UInt8], _ b: [UInt8]) -> Int {
  var row = Array(0...b.count)
  for (i, x) in a.enumerated() {
    var diagonal = row[0]
    row[0] = i + 1
    for (j, y) in b.enumerated() {
      let replaced = diagonal + (x == y ? 0 : 1)
      diagonal = row[j + 1]
      row[j + 1] = min(replaced, row[j] + 1, diagonal + 1)
    }
  }
  return row[b.count]
}
