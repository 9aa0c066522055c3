"""
@article{Kimanius2021,
  author = {Kimanius, Dari and Dong, Liyi and Sharov, Grigory and Nakane, Takanori and Scheres, Sjors H. W.},
  title = {New tools for automated cryo-EM single-particle analysis in RELION-4.0},
  journal = {Biochemical Journal},
  volume = {478},
  number = {24},
  pages = {4169--4185},
  year = {2021},
  doi = {10.1042/BCJ20210708},
  url = {https://doi.org/10.1042/BCJ20210708}
}

@article{Scheres2012,
  author = {Scheres, Sjors H. W.},
  title = {A Bayesian view on cryo-EM structure determination},
  journal = {Journal of Molecular Biology},
  volume = {415},
  number = {2},
  pages = {406--418},
  year = {2012},
  doi = {10.1016/j.jmb.2011.11.010},
  url = {https://doi.org/10.1016/j.jmb.2011.11.010}
}

@article{Zivanov2019,
  author = {Zivanov, Jasenko and Nakane, Takanori and Scheres, Sjors H. W.},
  title = {A Bayesian approach to beam-induced motion correction in cryo-EM single-particle analysis},
  journal = {IUCrJ},
  volume = {6},
  number = {1},
  pages = {5--17},
  year = {2019},
  doi = {10.1107/S205225251801463X},
  url = {https://doi.org/10.1107/S205225251801463X}
}

@article{Rohou2015,
  author = {Rohou, Alexis and Grigorieff, Nikolaus},
  title = {CTFFIND4: Fast and accurate defocus estimation from electron micrographs},
  journal = {Journal of Structural Biology},
  volume = {192},
  number = {2},
  pages = {216--221},
  year = {2015},
  doi = {10.1016/j.jsb.2015.08.008},
  url = {https://doi.org/10.1016/j.jsb.2015.08.008}
}

@article{Zivanov2018,
  author = {Zivanov, Jasenko and Nakane, Takanori and Forsberg, Björn O. and Kimanius, Dari and Hagen, Wim J. H. and
    Lindahl, Erik and Scheres, Sjors H. W.},
  title = {New tools for automated high-resolution cryo-EM structure determination in RELION-3},
  journal = {eLife},
  volume = {7},
  pages = {e42166},
  year = {2018},
  doi = {10.7554/eLife.42166},
  url = {https://doi.org/10.7554/eLife.42166}
}

@article{Bepler2019,
  author = {Bepler, Tristan and Morin, Andrew and Rapp, Micah and Brasch, Julia and Shapiro, Lawrence and
    Noble, Alex J. and Berger, Bonnie},
  title = {Positive-unlabeled convolutional neural networks for particle picking in cryo-electron micrographs},
  journal = {Nature Methods},
  volume = {16},
  number = {11},
  pages = {1153--1160},
  year = {2019},
  doi = {10.1038/s41592-019-0575-8},
  url = {https://doi.org/10.1038/s41592-019-0575-8}
}
"""
