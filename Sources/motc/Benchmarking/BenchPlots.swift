import Foundation
import MoTIR

/// The pictures of a benchmark, in a folder.
struct BenchPlots {
  private let folder: String
  private let gnuplot: Gnuplot

  /// Finds what draws them, and makes the folder.
  ///
  /// - Throws: `CannotRun` if one of both is impossible.
  init(folder: String) throws {
    self.folder = folder
    gnuplot = try Gnuplot()
    do {
      try FileManager.default.createDirectory(
        atPath: folder, withIntermediateDirectories: true)
    } catch {
      throw CannotRun(
        Diagnostic("cannot make the folder \(folder): \((error as NSError).localizedDescription)"))
    }
    for name in ["roofline.svg", "ablation.svg"] { try requireWritable("\(folder)/\(name)") }
  }

  /// Draws `report`, and the kernels of the first case whose time was followed.
  func write(_ report: BenchReport, _ cases: [BenchCase]) throws {
    if let (script, size) = report.ablationPlot {
      try Output("\(folder)/ablation.svg").write(try gnuplot.picture(script, size: size))
    }
    guard let subject = cases.first(where: { $0.subject.profile != nil })?.subject,
      let profile = subject.profile, let bandwidth = report.machine.memoryBandwidth
    else { return }
    let entry = subject.mainEntry
    let what = entry == "gradients" ? "the gradients of a training step" : "a forward pass"
    let plot = RooflinePlot(
      title: "\(report.model), \(report.precision): the kernels of \(what)",
      groups: profile.groups(of: entry), peak: report.machine.peakGflops,
      matrixPeak: report.machine.matrixPeakGflops, bandwidth: bandwidth)
    try Output("\(folder)/roofline.svg").write(try gnuplot.picture(plot.script, size: plot.size))
  }
}
