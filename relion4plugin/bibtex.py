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
"""
