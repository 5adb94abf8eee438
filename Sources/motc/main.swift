import ArgumentParser
import Runtime

openStandardDescriptors()
MappedRanges.watch()
do {
  var command = try Motc.parseAsRoot()
  try command.run()
} catch {
  exit(reporting: error)
}
