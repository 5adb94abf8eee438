import ArgumentParser

openStandardDescriptors()
do {
  var command = try Motc.parseAsRoot()
  try command.run()
} catch {
  exit(reporting: error)
}
