/// Returns the one of `names` that `name` most likely was meant to be, or `nil` if none is near.
func nearest(to name: String, among names: [String]) -> String? {
  let ranked = names.map { (name: $0, distance: editDistance(Array($0), Array(name))) }
  let best = ranked.min { $0.distance < $1.distance }
  return best.flatMap { $0.distance <= max(2, $0.name.count / 2) ? $0.name : nil }
}

/// Returns how many insertions, deletions and replacements turn `a` into `b`.
private func editDistance(_ a: [Character], _ b: [Character]) -> Int {
  var row = Array(0...b.count)
  for (i, left) in a.enumerated() {
    var diagonal = row[0]
    row[0] = i + 1
    for (j, right) in b.enumerated() {
      let replaced = diagonal + (left == right ? 0 : 1)
      diagonal = row[j + 1]
      row[j + 1] = min(replaced, row[j] + 1, diagonal + 1)
    }
  }
  return row[b.count]
}
